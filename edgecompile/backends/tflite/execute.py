"""Execute a TensorFlow Lite file by the reference kernels of LiteRT."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgecompile.backends.backend import Array, Execution
from edgecompile.core.artifact import Artifact, Manifest
from edgecompile.core.isolate import run_isolated
from edgecompile.errors import MissingToolError, Problem, UsageError

DEVICE = "litert-reference"
_INSTALL = 'pip install "edgecompile[ethos-u]"'
_SECONDS = 600.0


def run_reference(path: Path, manifest: Manifest, inputs: Sequence[Array]) -> Execution:
    """Execute every sample. Raises MissingToolError (EC5541) without LiteRT."""
    shaped = zip(reference_of(path, inputs), manifest.outputs, strict=True)
    outputs = tuple(array.reshape(len(array), *info.shape) for array, info in shaped)
    return Execution(outputs, DEVICE, "reference-model")


def reference_of(path: Path, inputs: Sequence[Array]) -> list[Array]:
    """`reference_outputs` of a file, in a process of its own. Raises MissingToolError (EC5541)."""
    if find_spec("ai_edge_litert") is None:
        what, why = (
            "LiteRT, which executes TensorFlow Lite files, is not installed",
            "its module is ai_edge_litert",
        )
        raise MissingToolError(Problem("EC5541", what, "", why, _INSTALL))
    task = f"executing {path.name}"
    return run_isolated(reference_outputs, path.read_bytes(), list(inputs), task=task, timeout_s=_SECONDS)


def run_file(artifact: Artifact, device: str | None, inputs: Sequence[Array]) -> Execution:
    """Execute the file of an artifact; see `Executor`. Raises UsageError (EC2543) for any other device."""
    if device not in (None, DEVICE):
        what, fix = (
            f"'{device}' does not execute TensorFlow Lite files",
            f"leave --device out, or use {DEVICE}",
        )
        raise UsageError(Problem("EC2543", what, "--device", "", fix))
    return run_reference(artifact.path / f"{artifact.manifest.name}.tflite", artifact.manifest, inputs)


def reference_outputs(data: bytes, inputs: Sequence[Array]) -> list[Array]:
    """What the reference kernels compute for every sample of `inputs`, one array an output."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kernels = OpResolverType.BUILTIN_REF
    network = Interpreter(model_content=data, experimental_op_resolver_type=kernels, num_threads=1)
    network.allocate_tensors()
    sources, sinks = network.get_input_details(), network.get_output_details()
    rows = []
    for sample in zip(*inputs, strict=True):
        for detail, array in zip(sources, sample, strict=True):
            network.set_tensor(detail["index"], array)
        network.invoke()
        rows.append([network.get_tensor(detail["index"]) for detail in sinks])
    return [np.stack(column) for column in zip(*rows, strict=True)]
