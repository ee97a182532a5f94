"""Artifacts that are a file for somebody else's runtime."""

from __future__ import annotations

from edgecompile.backends.backend import BuildRequest
from edgecompile.core.artifact import Manifest, MemoryFigures
from edgecompile.core.model import Model


def file_manifest(
    model: Model, request: BuildRequest, memory: MemoryFigures, align: int = 1, tolerance: float = 1e-4
) -> Manifest:
    """What is in an artifact without C functions; `memory.arena` is 0 where the runtime decides."""
    return Manifest(
        name=request.name,
        target=request.target.name,
        inputs=model.inputs,
        outputs=model.outputs,
        memory=memory,
        align=align,
        entry="",
        steps=(),
        emit=request.emit,
        tools={},
        model_sha256=model.provenance.sha256,
        tolerance=tolerance,
    )
