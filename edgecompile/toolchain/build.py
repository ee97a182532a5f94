"""Builds the runner: an executable around a compiled network, to run it on a device or an emulator."""

from __future__ import annotations

import string
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgecompile.core.artifact import Artifact
from edgecompile.core.device import Platform
from edgecompile.core.target import Emulator, Target
from edgecompile.errors import Problem, UsageError
from edgecompile.toolchain.base import Toolchain

RUNNER = Path(__file__).parent / "runner"
_VECTORS_BYTES = 0x400
_STACK_BYTES = 0x10000


def build_runner(
    artifact: Artifact,
    target: Target,
    toolchain: Toolchain,
    output_path: Path,
    trace: bool = False,
    threads: int = 1,
    platform: Platform | None = None,
) -> Path:
    """Link an artifact with the runner into the executable `output_path`, and return that.

    The library is taken as it is, entry point included; with `trace` the entry is compiled again, to report
    every step's tensors. With more than one of `threads` the program runs the network on the executor that
    the artifact brings. `platform` is what a device asks for. `toolchain` has to be able to link executables
    (`find_toolchain(target, executable=True)`). The executable speaks the protocol described in
    runner/runner.c. Raises UsageError (EC2020) for firmware of a target without memories, BudgetError when it
    is larger than the emulated board, and MissingToolError and InternalError as Toolchain does.
    """
    sources = [*_artifact_sources(artifact, trace), RUNNER / "runner.c"]
    flags = ["-I", str(artifact.path / "include"), *_definitions(artifact)]
    flags += ["-DEDGECOMPILE_TRACE"] if trace else []
    flags += [f"-DNETWORK_THREADS={threads}", "-pthread"] if threads > 1 else []
    objects = [artifact.library] if artifact.manifest.emit == "lib" else []
    return build_program(sources, objects, flags, target, toolchain, output_path, platform)


def build_program(
    sources: Sequence[Path],
    objects: Sequence[Path],
    flags: Sequence[str],
    target: Target,
    toolchain: Toolchain,
    output_path: Path,
    platform: Platform | None = None,
    link_flags: Sequence[str] = (),
) -> Path:
    """Link `sources`, one of which implements `runner_main` of platform.h, and `objects` for `target`.

    `flags` are for compiling, `link_flags` for linking. Raises as `build_runner`.
    """
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
        folder = Path(name)
        options = ["-O3", "-I", str(RUNNER), *flags, *(platform.flags if platform else ())]
        files = [*sources, *_platform_sources(target, platform)]
        program = toolchain.compile(files, options, folder / "program.o")
        threads = [flag for flag in flags if flag == "-pthread"]
        link_flags = [*_layout(target, platform, folder), *threads, *link_flags]
        return toolchain.link([program, *objects], link_flags, output_path)


def _artifact_sources(artifact: Artifact, trace: bool) -> list[Path]:
    if artifact.manifest.emit == "c":
        return artifact.sources()
    return [artifact.path / "src" / f"{artifact.manifest.name}.c"] if trace else []


def _platform_sources(target: Target, platform: Platform | None) -> list[Path]:
    if not target.toolchain.firmware:
        return [RUNNER / "platform_posix.c", *(platform.sources if platform else ())]
    if platform is None:
        names = ["platform_semihosting.c", "startup_cortex_m.c"]
    else:
        names = ["platform_serial.c" if platform.serial else "platform_semihosting.c"]
        names += [] if platform.own_startup else ["startup_cortex_m.c"]
    return [*(RUNNER / name for name in names), *(platform.sources if platform else ())]


def _definitions(artifact: Artifact) -> list[str]:
    manifest = artifact.manifest
    io_bytes = sum(tensor.nbytes for tensor in (*manifest.inputs, *manifest.outputs))
    return [
        f'-DNETWORK_HEADER="{manifest.name}.h"',
        f"-DNETWORK_RUN={manifest.entry}",
        f'-DNETWORK_THREADS_HEADER="{manifest.name}_threads.h"',
        f"-DNETWORK_LOWER={manifest.name}",
        f"-DNETWORK_UPPER={manifest.name.upper()}",
        f"-DNETWORK_IO_BYTES={io_bytes}",
    ]


def _layout(target: Target, platform: Platform | None, folder: Path) -> list[str]:
    """Linker flags that place firmware in the memories of the board, the emulated one as a rule."""
    if not target.toolchain.firmware:
        return []
    if platform is not None and platform.linker_script is not None:
        return ["-T", str(platform.linker_script)]
    if target.emulator is None:
        what, fix = "firmware without a memory map", "add an [emulator] table to the target file"
        raise UsageError(Problem("EC2020", what, target.name, "", fix))
    script = folder / "firmware.ld"
    script.write_text(_linker_script(target.emulator), encoding="utf-8")
    return ["-T", str(script)]


def _linker_script(board: Emulator) -> str:
    """The memories of an emulated board. The vector table is at 0, where a Cortex-M looks for it at reset."""
    template = string.Template((RUNNER / "firmware.ld").read_text(encoding="utf-8"))
    flash_origin = max(board.flash_origin, _VECTORS_BYTES)
    return template.substitute(
        vectors_bytes=_VECTORS_BYTES,
        flash_origin=hex(flash_origin),
        flash_bytes=board.flash_bytes - (flash_origin - board.flash_origin),
        ram_origin=hex(board.ram_origin),
        ram_bytes=board.ram_bytes,
        stack_bytes=_STACK_BYTES,
    )
