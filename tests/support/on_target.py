"""Scheduled kernels executed for a target: in this process on the host, or as a static program in qemu."""

from __future__ import annotations

import ctypes
import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecompile.core.target import Isa, Target, find_target
from edgecompile.devices.icount import MARK, plugin_arguments
from edgecompile.lower.codegen import kernels_to_object, llvm_target, resolve_native
from edgecompile.lower.tir import Interface, generate, lower_to_c_abi
from edgecompile.toolchain.find import find_toolchain

Array = np.ndarray[Any, Any]
_ALIGN = 64
_GARBAGE = 0xA5


@dataclass(frozen=True)
class Call:
    """A scheduled function, its input arrays in order, and (shape, dtype) of its one result."""

    function: Any
    inputs: Sequence[Array]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Outcome:
    """`instructions` is what the emulator counted; None on the host."""

    result: Array
    instructions: int | None


def isa_of(name: str) -> Isa:
    """The instruction set of a target; the host's is that of this machine."""
    return resolve_native(find_target(name).isa)


def run_calls(target_name: str, calls: Sequence[Call], isa: Isa | None = None) -> list[Outcome]:
    """Execute each call; a kernel that writes outside of its result fails an assertion."""
    target = find_target(target_name)
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as name:
        folder = Path(name)
        functions = {f"kernel{i}": call.function for i, call in enumerate(calls)}
        interfaces = kernels_to_object(functions, isa or isa_of(target_name), folder / "kernels.o")
        run = _run_here if target.emulator is None else _run_emulated
        return run(target, calls, [interfaces[symbol] for symbol in functions], folder)


def _run_here(
    target: Target, calls: Sequence[Call], interfaces: Sequence[Interface], folder: Path
) -> list[Outcome]:
    library = folder / "kernels.so"
    subprocess.run(["gcc", "-shared", "-o", library, folder / "kernels.o", "-lm"], check=True)
    loaded = ctypes.CDLL(str(library))
    outcomes = []
    for i, (call, interface) in enumerate(zip(calls, interfaces, strict=True)):
        memory, places = _layout([call], [interface])
        start = -memory.ctypes.data % _ALIGN
        shifted = np.full(memory.size + _ALIGN, _GARBAGE, np.uint8)[start:][: memory.size]
        shifted[:] = memory
        pointers = [ctypes.c_void_p(shifted.ctypes.data + at) for at in places[0]]
        bounds = [ctypes.c_int32(0), ctypes.c_int32(interface.tasks)] if interface.tasks else []
        code = getattr(loaded, f"kernel{i}")(*pointers[:-1], *bounds, pointers[-1])
        assert code == 0
        outcomes.append(Outcome(_result(call, places[0], shifted), None))
    return outcomes


def _run_emulated(
    target: Target, calls: Sequence[Call], interfaces: Sequence[Interface], folder: Path
) -> list[Outcome]:
    emulator = target.emulator
    assert emulator is not None
    if shutil.which(emulator.program) is None:
        pytest.skip(f"{emulator.program} not found ({emulator.install})")
    memory, places = _layout(calls, interfaces)
    memory.tofile(folder / "memory.bin")
    (folder / "main.c").write_text(_program(memory.size, places, interfaces))
    toolchain = find_toolchain(target, executable=True)
    compiled = toolchain.compile([folder / "main.c"], ["-O1"], folder / "main.o")
    program = toolchain.link([compiled, folder / "kernels.o"], [], folder / "main")
    command = [emulator.program, *plugin_arguments(emulator.program), "-cpu", emulator.cpu, str(program)]
    subprocess.run(command, check=True, cwd=folder)
    after = np.fromfile(folder / "memory.bin", np.uint8)
    counts = json.loads((folder / "icount.json").read_text())["segments"]
    return [
        Outcome(_result(call, place, after), count)
        for call, place, count in zip(calls, places, counts, strict=True)
    ]


def _layout(calls: Sequence[Call], interfaces: Sequence[Interface]) -> tuple[Array, list[list[int]]]:
    """Memory with all inputs in place, and where each call's inputs, result and workspace are."""
    pieces: list[bytes] = []
    places = []
    size = 0

    def put(data: bytes) -> int:
        nonlocal size
        # Kernels may not touch what is between buffers: it is checked for the result.
        padded = data + bytes([_GARBAGE]) * (_ALIGN + -len(data) % _ALIGN)
        pieces.append(padded)
        size += len(padded)
        return size - len(padded)

    for call, interface in zip(calls, interfaces, strict=True):
        at = [put(np.ascontiguousarray(array).tobytes()) for array in call.inputs]
        nbytes = int(np.prod(call.shape)) * np.dtype(call.dtype).itemsize
        places.append([*at, put(bytes([_GARBAGE]) * nbytes), put(bytes([_GARBAGE]) * interface.workspace)])
    return np.frombuffer(b"".join(pieces), np.uint8).copy(), places


def _result(call: Call, places: Sequence[int], memory: Array) -> Array:
    start, end = places[-2], places[-1]
    nbytes = int(np.prod(call.shape)) * np.dtype(call.dtype).itemsize
    assert (memory[start + nbytes : end] == _GARBAGE).all(), "the kernel wrote behind its result"
    return memory[start : start + nbytes].copy().view(call.dtype).reshape(call.shape)


def _program(size: int, places: Sequence[Sequence[int]], interfaces: Sequence[Interface]) -> str:
    declarations, body = [], []
    for i, (place, interface) in enumerate(zip(places, interfaces, strict=True)):
        declarations.append(f"int kernel{i}();")
        arguments = [f"memory + {at}" for at in place]
        if interface.tasks:
            arguments[-1:-1] = ["0", str(interface.tasks)]
        body.append(f"  {MARK}();\n  if (kernel{i}({', '.join(arguments)}) != 0) return 1;\n  {MARK}();")
    return f"""#include <stdint.h>
#include <stdio.h>
static _Alignas({_ALIGN}) uint8_t memory[{size}];
__attribute__((noinline)) void {MARK}(void) {{ __asm__ volatile("" ::: "memory"); }}
{chr(10).join(declarations)}
int main(void) {{
  FILE* file = fopen("memory.bin", "rb");
  if (!file || fread(memory, 1, sizeof memory, file) != sizeof memory) return 2;
  fclose(file);
{chr(10).join(body)}
  file = fopen("memory.bin", "wb");
  if (!file || fwrite(memory, 1, sizeof memory, file) != sizeof memory) return 3;
  return fclose(file) == 0 ? 0 : 4;
}}
"""


def assembly(call: Call, isa: Isa) -> str:
    """The instructions that LLVM makes of a call's function."""
    target = llvm_target(isa)
    lowered = lower_to_c_abi({"kernel": call.function}, target)
    return str(generate(lowered.module, target).inspect_source("asm"))
