"""CPUs: plain C interface kernels by LLVM or as C source, one static library, no runtime."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.elf import flash_bytes
from edgecompile.backends.pipeline import cpu_passes, demanded_rounding
from edgecompile.core.artifact import Emit, Manifest, MemoryFigures, StepInfo
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.lower.build import BuiltNetwork, build_network
from edgecompile.lower.program import Program
from edgecompile.toolchain.base import Toolchain
from edgecompile.toolchain.find import find_toolchain

# Optimise the entry for size: it is straight-line calls. C kernels are worth all the speed there is.
_ENTRY_FLAGS = ("-Os", "-ffreestanding", "-ffunction-sections")
_KERNEL_FLAGS = ("-O3", "-ffunction-sections")
# What is hot there is written in assembly.
_SUPPORT_FLAGS = ("-O2", "-ffunction-sections", "-fno-unwind-tables")


class CpuBackend:
    """Kernels for one CPU, called by a generated entry in C."""

    emits: tuple[Emit, ...] = ("lib", "c")
    tools: tuple[str, ...] = ()

    def passes(self, model: Model, request: BuildRequest) -> Sequence[Pass]:
        """See `Backend`; raises InputError (EC3060) for a rounding mode that does not exist."""
        rounding = request.rounding or demanded_rounding(model, request.target)
        return cpu_passes(request.target, rounding, request.integer_io)

    def build(self, model: Model, request: BuildRequest, folder: Path) -> Build:
        """Write include/, src/ and lib/ of an artifact; see `Backend`."""
        name, target, emit = request.name, request.target, request.emit
        toolchain = find_toolchain(target)
        for part in ("include", "src", *(["lib"] if emit == "lib" else [])):
            (folder / part).mkdir()
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
            built = build_network(model, name, target, emit, Path(scratch), request.threads, request.plans)
            _write_sources(built, name, emit, folder)
            objects = _compile_objects(built, name, target, toolchain, folder, Path(scratch))
            flash = sum(flash_bytes(path) for path in objects)
            if emit == "lib":
                toolchain.archive(objects, folder / "lib" / f"lib{name}.a")
        return Build(_manifest(built, model, request, flash), _figures(built, toolchain))


def _write_sources(built: BuiltNetwork, name: str, emit: str, folder: Path) -> None:
    (folder / "include" / f"{name}.h").write_text(built.entry.header, encoding="utf-8")
    (folder / "include" / f"{name}.hpp").write_text(built.entry.cpp_header, encoding="utf-8")
    (folder / "src" / f"{name}.c").write_text(built.entry.source, encoding="utf-8")
    if built.entry.threads_source:
        (folder / "include" / f"{name}_threads.h").write_text(built.entry.threads_header, encoding="utf-8")
        (folder / "src" / f"{name}_threads.c").write_text(built.entry.threads_source, encoding="utf-8")
    if emit == "c":
        weights = _weights_as_c(name, built.storage.weights, built.alignment)
        (folder / "src" / f"{name}_weights.c").write_text(weights, encoding="utf-8")
        if built.kernels is not None:
            (folder / "src" / built.kernels.name).write_bytes(built.kernels.read_bytes())
        for path in built.support:
            (folder / "src" / path.name).write_bytes(path.read_bytes())


def _compile_objects(
    built: BuiltNetwork, name: str, target: Target, toolchain: Toolchain, folder: Path, scratch: Path
) -> list[Path]:
    """Entry, weights, threads and kernels as object files in `scratch`."""
    include = ("-I", str(folder / "include"))
    objects = [scratch / f"{name}_entry.o", scratch / f"{name}_weights.o"]
    toolchain.compile([folder / "src" / f"{name}.c"], (*_ENTRY_FLAGS, *include), objects[0])
    assembly = scratch / f"{name}_weights.S"
    assembly.write_text(_weights_as_assembly(name, built.alignment), encoding="utf-8")
    (scratch / f"{name}_weights.bin").write_bytes(built.storage.weights)
    toolchain.compile([assembly], ("-I", str(scratch)), objects[1])
    if built.entry.threads_source:
        objects.append(scratch / f"{name}_threads.o")
        toolchain.compile([folder / "src" / f"{name}_threads.c"], (*_KERNEL_FLAGS, *include), objects[-1])
    for source in built.support:
        if source.suffix == ".c":
            objects.append(scratch / f"{name}_{source.stem}.o")
            toolchain.compile([source], _SUPPORT_FLAGS, objects[-1])
    if built.kernels is None:
        return objects
    if built.kernels.suffix == ".o":
        return [*objects, built.kernels]
    kernels = scratch / f"{name}_kernels.o"
    toolchain.compile([built.kernels], _KERNEL_FLAGS, kernels)
    return [*objects, kernels]


def _weights_as_assembly(name: str, align: int) -> str:
    """The weights in a section of their own, so that a linker script can place them."""
    return f"""#if defined(__ELF__)
.section .note.GNU-stack, "", %progbits
#endif
.section .rodata.{name}_weights, "a", %progbits
.balign {align}
.globl {name}_weights
.type {name}_weights, %object
{name}_weights:
.incbin "{name}_weights.bin"
.size {name}_weights, . - {name}_weights
"""


def _weights_as_c(name: str, data: bytes, align: int) -> str:
    rows = [data[i : i + 20] for i in range(0, len(data), 20)]
    body = ",\n".join("  " + ", ".join(f"{byte}" for byte in row) for row in rows) or "  0"
    return f"""/* Generated by edgecompile. This file is yours: use, change and ship it under any terms. */
#include "{name}.h"

__attribute__((aligned({align}), section(".rodata.{name}_weights")))
const unsigned char {name}_weights[] = {{
{body}
}};
"""


def _manifest(built: BuiltNetwork, model: Model, request: BuildRequest, flash: int) -> Manifest:
    plan = built.storage.plan
    memory = MemoryFigures(plan.arena_bytes, plan.lower_bound, len(built.storage.weights), flash)
    return Manifest(
        name=request.name,
        target=request.target.name,
        inputs=model.inputs,
        outputs=model.outputs,
        memory=memory,
        align=built.alignment,
        entry=f"{request.name}_run",
        steps=_steps(built.program),
        emit=request.emit,
        tools={},
        model_sha256=model.provenance.sha256,
        threads=request.threads,
    )


def _steps(program: Program) -> tuple[StepInfo, ...]:
    """Steps with the graph's names for what they write; a copy writes a graph output."""
    renamed = dict(zip(program.output_owners, program.outputs, strict=True))

    def written(name: str) -> TensorInfo:
        return program.values[name] if ":output" not in name else replace(renamed[name])

    return tuple(
        StepInfo(step.symbol, step.layers, tuple(written(name) for name in step.writes))
        for step in program.steps
    )


def _figures(built: BuiltNetwork, toolchain: Toolchain) -> dict[str, Any]:
    """The memory map and tools for the report."""
    offsets = built.storage.plan.offsets
    return {
        "kernels": len({step.symbol for step in built.program.steps if step.symbol}),
        "steps": len(built.program.steps),
        "parallel_steps": sum(step.parts > 1 for step in built.program.steps),
        "arena_map": [{"buffer": name, "offset": offsets[name]} for name in sorted(offsets)],
        "toolchain": toolchain.version(),
    }
