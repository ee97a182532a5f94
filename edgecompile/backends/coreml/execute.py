"""Execute a Core ML model of an artifact: by the evaluator, from the files as they were saved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.backend import Array, Execution
from edgecompile.backends.coreml.backend import PACKAGE
from edgecompile.backends.coreml.evaluator.evaluator import Evaluator
from edgecompile.backends.coreml.evaluator.program import read_program
from edgecompile.core.artifact import Artifact
from edgecompile.errors import InputError, Problem, UsageError

DEVICE = "coreml-evaluator"


def run_coreml(artifact: Artifact, device: str | None, inputs: Sequence[Array]) -> Execution:
    """Execute every sample; see `Executor`.

    Raises UsageError (EC2586) for any other device, and InputError (EC3585) for a damaged package.
    """
    if device not in (None, DEVICE):
        what, fix = f"'{device}' does not execute Core ML models", f"leave --device out, or use {DEVICE}"
        raise UsageError(Problem("EC2586", what, "--device", "", fix))
    package = artifact.path / PACKAGE.format(name=artifact.manifest.name)
    try:
        program = read_program(package)
    except (OSError, ValueError, KeyError) as error:
        why, fix = str(error), "compile again"
        problem = Problem("EC3585", "cannot read the Core ML model", str(package), why, fix)
        raise InputError(problem) from error
    evaluator = Evaluator(program)
    rows = [evaluator.run([array[i] for array in inputs]) for i in range(len(inputs[0]))]
    columns = zip(zip(*rows, strict=True), artifact.manifest.outputs, strict=True)
    outputs = tuple(
        np.stack(column).reshape(-1, *info.shape).astype(info.dtype, copy=False) for column, info in columns
    )
    return Execution(outputs, DEVICE, "reference-model")
