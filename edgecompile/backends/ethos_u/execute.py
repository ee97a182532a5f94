"""Execute what was compiled for an Ethos-U.

A C library is linked into a program for the CPU beside the NPU, which runs in its emulator, while the NPU is
ours: the emulator of U55 and U65 executes the command streams that the library hands to the driver. Streams
without CPU parts, and TensorFlow Lite files with the operator ethos-u, can be executed by themselves.

Of the U85, whose registers are not public in a form to build on, the networks that Vela took are executed by
the reference kernels of TensorFlow Lite: that proves the networks, not what Vela made of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgecompile.backends.backend import Array, Execution
from edgecompile.backends.ethos_u.backend import PRODUCT, configuration
from edgecompile.backends.ethos_u.driver import Driver, Npu
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.backends.ethos_u.files import NETWORK, read_program, segment_folders
from edgecompile.backends.ethos_u.product import read_product
from edgecompile.backends.tflite.execute import DEVICE as REFERENCE
from edgecompile.backends.tflite.execute import reference_of, run_reference
from edgecompile.core.artifact import Artifact, Level
from edgecompile.core.device import RunRequest
from edgecompile.core.samples import pack, unpack
from edgecompile.devices.open import open_device
from edgecompile.errors import MissingToolError, Problem, UsageError
from edgecompile.toolchain.build import build_runner
from edgecompile.toolchain.find import find_toolchain

EMULATOR, LIBRARY = "ethos-u-emulator", "qemu"


def run_ethos_u(artifact: Artifact, device: str | None, inputs: Sequence[Array]) -> Execution:
    """Execute every sample; see `Executor`.

    The device is EMULATOR (streams alone) or LIBRARY; without one it is LIBRARY, and EMULATOR where what that
    needs is not installed and there are no CPU parts. Raises UsageError (EC2542) for others.
    """
    is_library, alone = artifact.manifest.emit != "tflite", len(artifact.manifest.steps) <= 1
    possible = [name for name, can in ((EMULATOR, alone), (LIBRARY, is_library)) if can]
    if device is not None and device not in possible:
        what = f"'{device}' does not execute what was made of {artifact.manifest.name}"
        fix = f"leave --device out, or use {' or '.join(possible)}"
        raise UsageError(Problem("EC2542", what, "--device", "", fix))
    if is_library and device != EMULATOR:
        try:
            return _run_library(artifact, inputs)
        except MissingToolError:
            if device == LIBRARY or not alone:
                raise
    return _run_alone(artifact, inputs)


def _run_library(artifact: Artifact, inputs: Sequence[Array]) -> Execution:
    manifest, target = artifact.manifest, artifact.target
    npus = [_npu(folder, _has_emulator(artifact)) for folder in segment_folders(artifact.path)]
    toolchain = find_toolchain(target, executable=True)
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as name, open_device(LIBRARY, target) as device:
        driver = Driver(npus, Path(name))
        program = build_runner(artifact, target, toolchain, Path(name) / "runner", platform=driver.platform)
        samples, output_bytes = len(inputs[0]), sum(info.nbytes for info in manifest.outputs)
        request = RunRequest(program, pack(manifest.inputs, inputs), samples, output_bytes)
        with driver.serving():
            result = device.run(request)
    outputs = unpack(manifest.outputs, result.outputs, samples)
    level, other = _how(artifact)
    return Execution(outputs, f"{LIBRARY} and {other}", level)


def _npu(folder: Path, emulated: bool) -> Npu:
    program = read_program(folder)
    if emulated:
        return Npu(program, Emulator(program).run)
    return Npu(
        program, lambda inputs: [a[0] for a in reference_of(folder / NETWORK, [a[None] for a in inputs])]
    )


def _run_alone(artifact: Artifact, inputs: Sequence[Array]) -> Execution:
    manifest, (folder,) = artifact.manifest, segment_folders(artifact.path)
    if not _has_emulator(artifact):
        return run_reference(folder / NETWORK, manifest, inputs)
    if manifest.emit == "tflite":
        product = artifact.path / PRODUCT.format(name=manifest.name)
        emulator = Emulator(read_product(product.read_bytes(), product.name))
    else:
        emulator = Emulator(read_program(folder))
    rows = [emulator.run(sample) for sample in zip(*inputs, strict=True)]
    outputs = tuple(np.stack(column) for column in zip(*rows, strict=True))
    return Execution(outputs, EMULATOR, "executed-in-emulator")


def _has_emulator(artifact: Artifact) -> bool:
    return configuration(artifact.target).architecture != "EthosU85"


def _how(artifact: Artifact) -> tuple[Level, str]:
    """How far an execution proves what was compiled, and what took the place of the NPU."""
    return ("executed-in-emulator", EMULATOR) if _has_emulator(artifact) else ("reference-model", REFERENCE)
