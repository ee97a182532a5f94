"""The program that executes a network for a GPU: the runner around its launcher, here or beside the GPU."""

from __future__ import annotations

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

    `options` are what the engine is made with. The launcher is compiled from the artifact's own source, the
    same for every device. For the simulated GPU a driver with the network's kernels is put beside `output`.
    Raises MissingToolError.
    """
    if not isinstance(device, SimulatedGpu):
        return _link(artifact, artifact.target, (), output, trace, options)
    source = (artifact.path / FOLDER / KERNELS).read_text(encoding="utf-8")
    build_simulator(source, describe_gpu(artifact.target).architecture, output.parent)
    return _link(artifact, simulation_target(), _BESIDE, output, trace, options)


def _link(
    artifact: Artifact, target: Target, link_flags: tuple[str, ...], output: Path, trace: bool, options: int
) -> Path:
    manifest = artifact.manifest
    toolchain = find_toolchain(target, executable=True)
    tracing = ["-DEDGECOMPILE_TRACE"] if trace else []
    io_bytes = sum(tensor.nbytes for tensor in (*manifest.inputs, *manifest.outputs))
    flags = [
        *("-I", str(artifact.path / "include"), *tracing),
        *('-DNETWORK_HEADER="engine.h"', "-DNETWORK_RUN=engine_run", "-DNETWORK_UPPER=ENGINE"),
        f"-DNETWORK_IO_BYTES={io_bytes}",
        f'-DENGINE_HEADER="{manifest.name}.h"',
        f"-DENGINE_LOWER={manifest.name}",
        f"-DENGINE_UPPER={manifest.name.upper()}",
        f"-DENGINE_OPTIONS={options}",
    ]
    sources = [RUNNER / "engine.c", RUNNER / "runner.c"]
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as scratch:
        objects = compile_launcher(manifest.name, artifact.path, toolchain, Path(scratch), *tracing)
        return build_program(sources, objects, flags, target, toolchain, output, link_flags=link_flags)
