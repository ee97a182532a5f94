"""A TensorFlow Lite file as what is made of a network: for a runtime that is on the device already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.manifest import make_manifest
from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import ROUNDING, tflite_passes
from edgecompile.core.artifact import MemoryFigures
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.errors import Problem, UsageError

# Of the tensors in a file's arena.
ALIGNMENT = 16


def tflite_file_passes(request: BuildRequest) -> Sequence[Pass]:
    """The passes for a file. Raises UsageError (EC2540) for a rounding that its kernels do not have."""
    if request.rounding not in (None, ROUNDING):
        what = f"the kernels of TensorFlow Lite do not round '{request.rounding}'"
        raise UsageError(Problem("EC2540", what, "--rounding", "", f"leave it out, or use {ROUNDING}"))
    return tflite_passes(request.integer_io)


def write_file(model: Model, request: BuildRequest, folder: Path) -> Build:
    """Write NAME.tflite. Raises UnsupportedError (EC4540) with every node that cannot be in it."""
    data = export_tflite(model)
    (folder / f"{request.name}.tflite").write_bytes(data)
    return Build(make_manifest(model, request, MemoryFigures(0, 0, len(data), len(data)), ALIGNMENT), {})
