"""Compile a model for this machine and call it in this process: the short way to its numbers.

Product tests execute through devices; operator tests run thousands of tiny networks and use this.
"""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.core.tensor import TensorInfo
from edgecompile.lower.build import BuiltNetwork, build_network
from edgecompile.lower.lower import PlansOf, usual_plans

Array = np.ndarray[Any, Any]
_GUARD = 4096
_GARBAGE = 0xA5


def execute(
    model: Model,
    inputs: Sequence[Array],
    target: str = "host",
    emit: str = "lib",
    plans: PlansOf = usual_plans,
) -> list[Array]:
    """Outputs of `model` for `inputs`; the arena starts as garbage and is checked for overruns."""
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as folder:
        built = build_network(model, "net", find_target(target), emit, Path(folder), plans=plans)
        return call(link(built, Path(folder)).net_run, built, model, inputs)


def link(built: BuiltNetwork, folder: Path) -> ctypes.CDLL:
    """The network "net" in a shared library of `folder`, together with its executor if it has one."""
    (folder / "net.h").write_text(built.entry.header)
    (folder / "net.c").write_text(built.entry.source)
    (folder / "net.bin").write_bytes(built.storage.weights + bytes(64))
    (folder / "weights.S").write_text(
        '.section .note.GNU-stack,"",@progbits\n.section .rodata\n.balign 64\n.globl net_weights\n'
        f'net_weights:\n.incbin "{folder}/net.bin"\n'
    )
    kernels = [] if built.kernels is None else [str(built.kernels)]
    output = folder / "net.so"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-Wno-unused-variable"]
    flags += ["-Wno-unused-but-set-variable", "-Wno-type-limits", "-Wno-bool-compare", "-Wno-overflow"]
    sources = [str(folder / "net.c"), str(folder / "weights.S"), *kernels]
    if built.entry.threads_source:
        (folder / "net_threads.h").write_text(built.entry.threads_header)
        (folder / "net_threads.c").write_text(built.entry.threads_source)
        sources.append(str(folder / "net_threads.c"))
    command = [
        "gcc",
        *flags,
        "-shared",
        "-fPIC",
        "-Wl,-z,defs",
        "-o",
        str(output),
        *sources,
        "-lm",
        "-pthread",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"generated code does not build:\n{done.stderr}"
    return ctypes.CDLL(str(output))


def call(
    run: Callable[..., int], built: BuiltNetwork, model: Model, inputs: Sequence[Array], *more: Any
) -> list[Array]:
    """The results of the entry point `run`, which takes arguments `more` after the usual ones."""
    align, arena_bytes = built.alignment, built.storage.plan.arena_bytes
    raw = np.full(arena_bytes + 2 * _GUARD, _GARBAGE, np.uint8)
    start = -raw.ctypes.data % align
    borders = [_dense(array, info) for array, info in zip(inputs, model.inputs, strict=True)]
    results = [np.empty(info.shape, info.dtype) for info in model.outputs]
    arguments = (
        _pointers(borders),
        _pointers(results),
        ctypes.c_void_p(raw.ctypes.data + start),
        ctypes.c_size_t(arena_bytes),
    )
    code = run(*arguments, *more)
    assert code == 0, f"the network returned {code}"
    assert (raw[start + arena_bytes :] == _GARBAGE).all(), "the network wrote behind its arena"
    return results


def _dense(array: Array, info: TensorInfo) -> Array:
    assert array.shape == info.shape, f"{info.name}: given {array.shape}, expected {info.shape}"
    assert array.dtype.name == info.dtype, f"{info.name}: given {array.dtype}, expected {info.dtype}"
    return np.ascontiguousarray(array).reshape(info.shape)


def _pointers(arrays: Sequence[Array]) -> Any:
    # An empty array has no address worth passing, but the caller's table must have an entry.
    return (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))
