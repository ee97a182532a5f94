"""A TensorFlow Lite file as what is made of a network: for a runtime that is on the device already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecompile.backends.backend import Build, BuildRequest
from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import ROUNDING, tflite_passes
from edgecompile.core.artifact import Manifest, MemoryFigures
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass
from edgecompile.errors import Problem, UsageError

_ALIGNMENT = 16


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
    return Build(file_manifest(model, request, len(data)), {})


def file_manifest(model: Model, request: BuildRequest, flash: int, arena: int = 0) -> Manifest:
    """An artifact without C functions. Its weights are the file; `arena` is 0 where the runtime decides."""
    return Manifest(
        name=request.name,
        target=request.target.name,
        inputs=model.inputs,
        outputs=model.outputs,
        memory=MemoryFigures(arena, arena, flash, flash),
        align=_ALIGNMENT,
        entry="",
        steps=(),
        emit=request.emit,
        tools={},
        model_sha256=model.provenance.sha256,
    )
