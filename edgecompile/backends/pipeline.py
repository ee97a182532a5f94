"""The whole graph pipeline, read aloud: from an imported graph to one that the backend can lower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass, PassRecord, Pipeline
from edgecompile.core.target import Target
from edgecompile.lower.table import lowered_operators
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.prove import prove_in_onnxruntime


def cpu_passes(target: Target) -> Sequence[Pass]:
    """The passes for a CPU target, in order."""
    return (
        # one opset, no functions, static shapes, constants folded, nothing dead
        *canonicalize_passes(keep=lowered_operators()),
        # fuse, recognise, choose the layout
        *graph_passes(target.codegen.layout),
    )


def optimize(
    model: Model, target: Target, prove: bool = False, dump_dir: Path | None = None
) -> tuple[Model, tuple[PassRecord, ...]]:
    """Run the pipeline; with `prove`, every pass is checked against the graph before it."""
    pipeline = Pipeline(cpu_passes(target))
    return pipeline.run(model, prove_in_onnxruntime if prove else None, dump_dir)
