"""The manifest of what a backend made of a network."""

from __future__ import annotations

from edgecompile.backends.backend import BuildRequest
from edgecompile.core.artifact import Manifest, MemoryFigures, StepInfo
from edgecompile.core.model import Model


def make_manifest(
    model: Model,
    request: BuildRequest,
    memory: MemoryFigures,
    align: int = 1,
    steps: tuple[StepInfo, ...] | None = None,
    threads: int = 1,
    tolerance: float = Manifest.tolerance,
) -> Manifest:
    """What is in an artifact: a C function that takes `steps`, or without them a file for another runtime.

    `memory.arena` is 0 where a runtime decides.
    """
    return Manifest(
        name=request.name,
        target=request.target.name,
        inputs=model.inputs,
        outputs=model.outputs,
        memory=memory,
        align=align,
        entry="" if steps is None else f"{request.name}_run",
        steps=steps or (),
        emit=request.emit,
        tools={},
        model_sha256=model.provenance.sha256,
        threads=threads,
        tolerance=tolerance,
    )
