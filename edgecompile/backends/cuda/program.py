"""The program that executes a network for a GPU: the runner around its launcher, here or beside the GPU."""

from __future__ import annotations

import platform
import tempfile
from pathlib import Path

from edgecompile.backends.cuda.files import FOLDER, KERNELS, compile_launcher, describe_gpu
from edgecompile.backends.cuda.simulator.build import build_simulator, simulation_target
from edgecompile.core.artifact import Artifact
from edgecompile.core.device import Device
from edgecompile.core.target import Target
from edgecompile.devices.gpu import SimulatedGpu
from edgecompile.toolchain.build import RUNNER, build_program
from edgecompile.toolchain.find import find_toolchain

# The simulated driver lies beside the program, and is found before an installed one.
_BESIDE = ("-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN")


def link_for_gpu(
    artifact: Artifact, device: Device, output: Path, trace: bool = False, options: int = 0
) -> Path:
    """Link the runner for `device` into `output`, and return that.

    `options` are what the engine is made with. The artifact's library is taken as it is, unless it is traced
    or this machine's CPU is another one. For the simulated GPU a driver with the network's kernels is put
    beside `output`. Raises MissingToolError.
    """
    source = (artifact.path / FOLDER / KERNELS).read_text(encoding="utf-8")
    target, link_flags = machine_for(device, artifact.target, source, output.parent)
    return _link(artifact, target, output, trace, options, link_flags)


def machine_for(
    device: Device | None, target: Target, source: str, folder: Path
) -> tuple[Target, tuple[str, ...]]:
    """What a program in `folder` that launches the kernels of `source` is built for, and flags to link it.

    For the simulated GPU a driver with these is put there. Raises MissingToolError (EC5591).
    """
    if not isinstance(device, SimulatedGpu):
        return target, ()
    build_simulator(source, describe_gpu(target).architecture, folder)
    return simulation_target(), _BESIDE


def _link(
    artifact: Artifact,
    target: Target,
    output: Path,
    trace: bool,
    options: int,
    link_flags: tuple[str, ...],
) -> Path:
    toolchain = find_toolchain(target, executable=True)
    flags = [*_definitions(artifact, options), *(["-DEDGECOMPILE_TRACE"] if trace else [])]
    sources = [RUNNER / "engine.c", RUNNER / "runner.c"]
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
        objects = []
        if artifact.manifest.emit == "c":
            sources += artifact.sources()
        elif trace or not _runs_on(artifact, target):
            objects = compile_launcher(
                artifact.manifest.name, artifact.path, toolchain, Path(scratch), *flags
            )
        else:
            objects = [artifact.library]
        return build_program(sources, objects, flags, target, toolchain, output, link_flags=link_flags)


def _runs_on(artifact: Artifact, target: Target) -> bool:
    """Whether the library of `artifact` can be linked for `target`: its own, or this machine."""
    machine = artifact.target.isa.triple.split("-")[0]
    return target == artifact.target or machine == platform.machine()


def _definitions(artifact: Artifact, options: int) -> list[str]:
    manifest = artifact.manifest
    io_bytes = sum(tensor.nbytes for tensor in (*manifest.inputs, *manifest.outputs))
    return [
        *("-I", str(artifact.path / "include")),
        *('-DNETWORK_HEADER="engine.h"', "-DNETWORK_RUN=engine_run", "-DNETWORK_UPPER=ENGINE"),
        f"-DNETWORK_IO_BYTES={io_bytes}",
        f'-DENGINE_HEADER="{manifest.name}.h"',
        f"-DENGINE_LOWER={manifest.name}",
        f"-DENGINE_UPPER={manifest.name.upper()}",
        f"-DENGINE_OPTIONS={options}",
    ]
