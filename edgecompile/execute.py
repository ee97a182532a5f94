"""Execute a compiled network: build a program around it, run that on a device, unpack what it says."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from edgecompile.backends.backend import Execution
from edgecompile.backends.find import find_executor, find_linker
from edgecompile.core.artifact import Artifact, Level
from edgecompile.core.device import RunRequest, RunResult
from edgecompile.core.samples import pack as pack
from edgecompile.core.samples import unpack as unpack
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.devices.open import open_device
from edgecompile.errors import InputError, Problem, UsageError, reason
from edgecompile.toolchain.build import build_runner
from edgecompile.toolchain.find import find_toolchain

Array = np.ndarray[Any, Any]

GOLDEN = "golden.npz"


class CompiledNetwork:
    """A compiled network as a function of whole batches: one program execution a call.

    `device` names where it runs (as `--device` does; None for what the target names). With `trace` the
    program also delivers every step's tensors and costs. It runs on `threads` threads. The program lives as
    long as this object. Raises MissingToolError, DeviceError, or UsageError (EC2031: more threads than the
    artifact was compiled for; EC2034: it is no library of C functions).
    """

    def __init__(
        self, artifact: Artifact, device: str | None = None, trace: bool = False, threads: int = 1
    ) -> None:
        check_threads(artifact, threads)
        self.artifact, self.trace = artifact, trace
        target = artifact.target
        _check_linked(artifact, target)
        self.device = open_device(device, target)
        self._folder = tempfile.TemporaryDirectory(prefix="edgecompile-")
        output = Path(self._folder.name) / "runner"
        self._program = self._link(target, output, threads)

    def _link(self, target: Target, output: Path, threads: int) -> Path:
        link = find_linker(target)
        if link is not None:
            return link(self.artifact, self.device, output, self.trace)
        toolchain = find_toolchain(target, executable=True)
        return build_runner(
            self.artifact, target, toolchain, output, self.trace, threads, self.device.platform
        )

    def __call__(self, *batches: Array) -> Array | tuple[Array, ...]:
        """Outputs for `batches`, one array an input, each (N, ...) of samples.

        A leading dimension of 1 in the network's own shapes is the sample axis: an input of shape (1, 3, 32,
        32) takes (N, 3, 32, 32). Other shapes get a sample axis in front. One output is returned as such,
        several as a tuple.
        """
        inputs = self.artifact.manifest.inputs
        samples = [_per_sample(info, batch) for info, batch in zip(inputs, batches, strict=True)]
        arrays = self.outputs(self.run(samples), len(samples[0]))
        merged = tuple(
            array[:, 0] if info.shape[:1] == (1,) else array
            for info, array in zip(self.artifact.manifest.outputs, arrays, strict=True)
        )
        return merged[0] if len(merged) == 1 else merged

    def run(self, inputs: Sequence[Array], repeats: int = 1, count_instructions: bool = False) -> RunResult:
        """Execute on `inputs`, one (samples, *input shape) array each; every sample runs `repeats` times."""
        manifest = self.artifact.manifest
        request = RunRequest(
            self._program,
            pack(manifest.inputs, inputs),
            samples=len(inputs[0]) if inputs else 1,
            output_bytes=sum(info.nbytes for info in manifest.outputs),
            repeats=repeats,
            count_instructions=count_instructions,
            trace=self.trace,
        )
        with self.device as device:
            return device.run(request)

    def outputs(self, result: RunResult, samples: int) -> tuple[Array, ...]:
        """The outputs in `result`, one array an output, each (samples, *output shape)."""
        return unpack(self.artifact.manifest.outputs, result.outputs, samples)


def execute(artifact: Artifact, device: str | None, inputs: Sequence[Array], threads: int = 1) -> Execution:
    """Run every sample of `inputs`, (samples, *input shape) each.

    By a program linked around the library, or by what the target's backend has for that. Raises as
    CompiledNetwork does.
    """
    executor = find_executor(artifact.target, artifact.manifest.emit)
    if executor is not None:
        return executor(artifact, device, inputs)
    network = CompiledNetwork(artifact, device, threads=threads)
    outputs = network.outputs(network.run(inputs), len(inputs[0]))
    return Execution(outputs, network.device.name, cast(Level, network.device.level))


def check_threads(artifact: Artifact, threads: int) -> None:
    """Raise UsageError (EC2031) when `artifact` was compiled for fewer threads."""
    most = artifact.manifest.threads
    if threads > most:
        what = f"{artifact.manifest.name} cannot run on {threads} threads"
        why, fix = f"it was compiled for {most}", f"compile it with --threads {threads}"
        raise UsageError(Problem("EC2031", what, "--threads", why, fix))


def _check_linked(artifact: Artifact, target: Target) -> None:
    if find_executor(target, artifact.manifest.emit) is None:
        return
    what = f"{artifact.manifest.name} cannot be measured or traced"
    why, fix = f"no program here executes it as {target.name} does", "see the estimates: edgecompile report"
    raise UsageError(Problem("EC2034", what, str(artifact.path), why, fix))


def load_golden(artifact: Artifact) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The golden inputs and expected outputs, each (samples, *shape). Raises InputError (EC3052)."""
    path = artifact.path / GOLDEN
    manifest = artifact.manifest
    try:
        with np.load(path, allow_pickle=False) as arrays:
            inputs = tuple(arrays[f"in_{k}"] for k in range(len(manifest.inputs)))
            outputs = tuple(arrays[f"out_{k}"] for k in range(len(manifest.outputs)))
    except (OSError, ValueError, KeyError) as error:
        why, fix = reason(error), "compile again"
        raise InputError(Problem("EC3052", "cannot read the golden vectors", str(path), why, fix)) from error
    return inputs, outputs


def reference_noise(artifact: Artifact) -> tuple[float, ...]:
    """How far the reference of each output disagrees with itself (relative; see edgecompile.golden)."""
    with np.load(artifact.path / GOLDEN, allow_pickle=False) as arrays:
        return tuple(arrays[f"noise_{k}"].item() for k in range(len(artifact.manifest.outputs)))


def exact_outputs(artifact: Artifact) -> tuple[bool, ...]:
    """Which outputs must be equal to the last bit (see edgecompile.golden)."""
    with np.load(artifact.path / GOLDEN, allow_pickle=False) as arrays:
        keys = [f"exact_{k}" for k in range(len(artifact.manifest.outputs))]
        return tuple(key in arrays and bool(arrays[key]) for key in keys)


def _per_sample(info: TensorInfo, batch: Array) -> Array:
    wanted = info.shape[1:] if info.shape[:1] == (1,) else info.shape
    if batch.shape[1:] == wanted:
        return np.ascontiguousarray(batch).reshape(len(batch), *info.shape)
    return batch
