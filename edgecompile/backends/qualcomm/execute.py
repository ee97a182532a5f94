"""Execute a context in the emulator of the HTP that comes with onnxruntime-qnn."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompile.backends.backend import Array, Execution
from edgecompile.backends.qualcomm.backend import configuration
from edgecompile.backends.qualcomm.compiler import execute_context
from edgecompile.core.artifact import Artifact
from edgecompile.errors import Problem, UsageError

EMULATOR = "htp-emulator"


def run_hexagon(artifact: Artifact, device: str | None, inputs: Sequence[Array]) -> Execution:
    """Execute every sample; see `Executor`. Raises UsageError (EC2592) for any other device."""
    if device not in (None, EMULATOR):
        what = f"'{device}' does not execute contexts of the HTP"
        fix = f"leave --device out, or use {EMULATOR}"
        raise UsageError(Problem("EC2592", what, "--device", "", fix))
    outputs = execute_context(artifact.path, artifact.manifest.name, configuration(artifact.target), inputs)
    return Execution(tuple(outputs), EMULATOR, "executed-in-emulator")
