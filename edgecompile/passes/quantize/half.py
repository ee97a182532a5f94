"""Weights in float16, everything else as it was: half the size, and no samples.

before: y = Conv(x, w)        after: y = Conv(x, Cast(w in float16))

The network still computes in float32: a weight is widened on its way from memory into a register.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.edit import Array, add_initializer, constant_of
from edgecompile.passes.halves import is_weights
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.rewriting import finish, insert

_GREATEST = float(np.finfo(np.float16).max)
# Rounding to 11 bits changes weights by at most 2^-11 of each. More of all means that small ones are lost.
_MOST_LOST = 2.0**-10


def store_in_half(
    model: Model, samples: Samples | None, recipe: Recipe, keep_float: Sequence[str], progress: Progress
) -> Rewritten:
    """A copy of `model` with weights and tables in float16; the notes name those that float16 cannot hold.

    Raises UnsupportedError (EC4361) when there are none to store.
    """
    result = model.copy()
    graph = result.graph.graph
    layers, notes = [], []
    for value in list(graph.initializers.values()):
        readers = [str(node.name) for node in value.consumers()]
        weights = constant_of(value)
        if weights is None or weights.dtype != np.float32 or not is_weights(value):
            continue
        if any(name in keep_float for name in readers):
            continue
        why = _obstacle(weights)
        if why is None:
            _store(graph, value, weights)
            layers += readers
        else:
            notes.append(f"the weights of {', '.join(readers)} stay in float32: {why}")
    if not layers:
        what, why = "there are no weights to store in float16", "; ".join(notes)
        fix = "only weights and tables of 256 elements or more are, of convolutions, products and Gather"
        raise UnsupportedError(Problem("EC4361", what, "", why, fix))
    order = {str(node.name): position for position, node in enumerate(graph)}
    finished = finish(result, len(layers), "layers with weights in float16").model
    return Rewritten(finished.with_notes(*notes), tuple(sorted(layers, key=order.__getitem__)))


def _obstacle(weights: Array) -> str | None:
    """Why float16 cannot hold `weights`; None when it can."""
    if not np.isfinite(weights).all():
        return "not all of them are finite"
    greatest = float(np.abs(weights).max())
    if greatest > _GREATEST:
        return f"they reach {greatest:.3g}, float16 only {_GREATEST:.0f}"
    exact = weights.astype(np.float64)
    lost = np.linalg.norm(exact - weights.astype(np.float16))
    if lost > _MOST_LOST * np.linalg.norm(exact):
        return "they are so small that float16 would lose most of their digits"
    return None


def _store(graph: ir.Graph, value: ir.Value, weights: Array) -> None:
    """Let all readers of a constant read its Cast from float16."""
    stored = add_initializer(graph, f"{value.name}/half", weights.astype(np.float16))
    first = next(node for node in graph if value in node.inputs)
    widened = insert(
        first, "Cast", [stored], {"to": ir.DataType.FLOAT}, shape=weights.shape, dtype=ir.DataType.FLOAT
    )
    value.replace_all_uses_with(widened)
