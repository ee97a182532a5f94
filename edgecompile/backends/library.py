"""C libraries: what was built of a network becomes the files of an artifact, and its description."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.elf import flash_bytes
from edgecompile.backends.manifest import make_manifest
from edgecompile.core.artifact import MemoryFigures, StepInfo
from edgecompile.core.model import Model
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.lower.build import BuiltNetwork
from edgecompile.lower.program import Program
from edgecompile.lower.storage import Storage
from edgecompile.toolchain.base import Toolchain

# Optimise the entry for size: it is straight-line calls. C kernels are worth all the speed there is.
_ENTRY_FLAGS = ("-Os", "-ffreestanding", "-ffunction-sections")
_KERNEL_FLAGS = ("-O3", "-ffunction-sections")
# What is hot there is written in assembly.
_SUPPORT_FLAGS = ("-O2", "-ffunction-sections", "-fno-unwind-tables")


def write_library(
    built: BuiltNetwork,
    model: Model,
    request: BuildRequest,
    toolchain: Toolchain,
    folder: Path,
    scratch: Path,
) -> Build:
    """Write include/, src/ and, unless C source is asked for, lib/ of an artifact into `folder`."""
    name, target, emit = request.name, request.target, request.emit
    for part in ("include", "src", *(["lib"] if emit == "lib" else [])):
        (folder / part).mkdir()
    _write_sources(built, name, emit, folder)
    objects = _compile_objects(built, name, target, toolchain, folder, scratch)
    flash = sum(flash_bytes(path) for path in objects)
    if emit == "lib":
        toolchain.archive(objects, folder / "lib" / f"lib{name}.a")
    plan = built.storage.plan
    memory = MemoryFigures(plan.arena_bytes, plan.lower_bound, len(built.storage.weights), flash)
    steps = step_infos(built.program)
    manifest = make_manifest(model, request, memory, built.alignment, steps, request.threads)
    return Build(manifest, _figures(built, toolchain))


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
    return f"""/* Generated by edgecompile. This file is yours: use, change and ship it under any terms. */
#include "{name}.h"

__attribute__((aligned({align}), section(".rodata.{name}_weights")))
const unsigned char {name}_weights[] = {{
{bytes_as_c(data)}
}};
"""


def bytes_as_c(data: bytes) -> str:
    """What stands between the braces of an array of bytes; C knows no empty ones."""
    rows = [data[i : i + 20] for i in range(0, len(data), 20)]
    return ",\n".join("  " + ", ".join(f"{byte}" for byte in row) for row in rows) or "  0"


def step_infos(program: Program) -> tuple[StepInfo, ...]:
    """Steps with the graph's names for what they write; a copy writes a graph output."""
    renamed = dict(zip(program.output_owners, program.outputs, strict=True))

    def written(name: str) -> TensorInfo:
        return program.values[name] if ":output" not in name else replace(renamed[name])

    return tuple(
        StepInfo(step.symbol, step.layers, tuple(written(name) for name in step.writes))
        for step in program.steps
    )


def arena_figures(storage: Storage) -> dict[str, Any]:
    """For the report: where everything is in the arena, and how many bytes of it are in use at each step."""
    plan = storage.plan
    # The plan ends with the last step that needs any.
    rest = [0] * (len(storage.program.steps) - len(plan.live))
    return {
        "arena_map": [{"buffer": name, "offset": plan.offsets[name]} for name in sorted(plan.offsets)],
        "arena_in_use": [*plan.live, *rest],
    }


def _figures(built: BuiltNetwork, toolchain: Toolchain) -> dict[str, Any]:
    """The memory map and tools for the report."""
    steps = built.program.steps
    return arena_figures(built.storage) | {
        "kernels": len({step.symbol for step in steps if step.symbol}),
        "steps": len(steps),
        "parallel_steps": sum(step.parts > 1 for step in steps),
        "toolchain": toolchain.version(),
    }
