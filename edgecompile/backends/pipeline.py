"""The whole graph pipeline, read aloud: from an imported graph to one that the backend can lower."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edgecompile.backends.backend import BuildRequest
from edgecompile.core.integer import ROUNDING_KEY, ROUNDINGS, Rounding
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass, PassRecord, Pipeline
from edgecompile.core.target import Target
from edgecompile.errors import InputError, Problem, UsageError
from edgecompile.lower.table import lowered_operators
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.passes.center_integer_weights import CenterIntegerWeights
from edgecompile.passes.integer_passes import integer_passes
from edgecompile.passes.join_heads import JoinHeads
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.prove import prove_in_onnxruntime
from edgecompile.passes.rewrite_quantized_operators import RewriteQuantizedOperators


def cpu_passes(target: Target, rounding: Rounding, integer_io: bool = False) -> Sequence[Pass]:
    """The passes for a target whose kernels are generated, in order."""
    return (
        # one opset, no functions, static shapes, constants folded, nothing dead
        *canonicalize_passes(keep=lowered_operators()),
        # quantized operators as float ones between QuantizeLinear and DequantizeLinear
        RewriteQuantizedOperators(),
        CenterIntegerWeights(),
        # fuse, recognise, choose the layout
        *graph_passes(target.codegen.layout),
        # what is cheap to move on a CPU is a kernel to launch on a GPU
        *([JoinHeads()] if target.backend == "cuda" else []),
        # what is quantized, in integers
        *integer_passes(rounding, target.codegen.activations, integer_io),
    )


def optimize(
    model: Model,
    target: Target,
    prove: bool = False,
    dump_dir: Path | None = None,
    rounding: Rounding | None = None,
    integer_io: bool = False,
) -> tuple[Model, tuple[PassRecord, ...]]:
    """Run the pipeline; with `prove`, every pass is checked against the graph before it.

    `rounding` overrides what the model file demands, and that what the target prefers.
    """
    pipeline = Pipeline(cpu_passes(target, rounding or demanded_rounding(model, target), integer_io))
    return pipeline.run(model, prove_in_onnxruntime if prove else None, dump_dir)


def check_fallback(request: BuildRequest, why: str) -> None:
    """Raise UsageError (EC2035) for a fallback where one unit computes everything, and say `why`."""
    if request.fallback != "none":
        what = f"there is nothing to fall back from on {request.target.name}"
        raise UsageError(Problem("EC2035", what, "--fallback", why, "leave --fallback out"))


def demanded_rounding(model: Model, target: Target) -> Rounding:
    """How the file of `model` says its integers are rounded, or else what `target` prefers.

    Raises InputError (EC3060) for a mode that does not exist.
    """
    demanded = model.graph.metadata_props.get(ROUNDING_KEY)
    if demanded is None:
        return target.codegen.rounding
    for mode in ROUNDINGS:
        if demanded == mode:
            return mode
    why, fix = f"the file says {ROUNDING_KEY} = {demanded!r}", f"it must be one of {', '.join(ROUNDINGS)}"
    raise InputError(Problem("EC3060", "unknown rounding mode", model.provenance.source, why, fix))
