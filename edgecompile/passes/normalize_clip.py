"""One spelling for limits.

before: Min(Max(x, 0), 6), Max(Min(x, 6), 0), Min(Relu(x), 6), Clip(Relu(x), max=6)     after: Clip(x, 0, 6)
before: Clip(Clip(x, a, b), c, d)                                                     after: Clip(x, ., .)
before: Max(x, 0), Clip(x, min=0)                                                     after: Relu(x)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, static_shape
from edgecompile.passes.matching import only_reader, scalar
from edgecompile.passes.rewriting import become, graph_of, rewrite_nodes

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class NormalizeClip:
    """Bounded activations are Clip with both bounds, or Relu."""

    name = "normalize_clip"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "limits normalised", _limit)


@dataclass(frozen=True)
class _Limit:
    """min(max(x, low), high)"""

    x: ir.Value
    low: float
    high: float


def _limit(node: ir.Node) -> bool:
    outer = _match(node)
    if outer is None or outer.x.dtype not in _FLOATS:
        return False
    producer = outer.x.producer()
    inner = _match(producer) if producer is not None and only_reader(outer.x) is node else None
    low, high, x = outer.low, outer.high, outer.x
    if inner is not None:
        # clip(clip(x, a, b), c, d) has the bounds clip(a, c, d) and clip(b, c, d)
        low, high = (min(max(bound, low), high) for bound in (inner.low, inner.high))
        x = inner.x
    if low == 0.0 and high == math.inf:
        if node.op_type == "Relu" and inner is None:
            return False
        become(node, "Relu", [x])
        return True
    if inner is None and (node.op_type == "Clip" or math.inf in (-low, high)):
        return False
    become(node, "Clip", [x, _bound(node, "min", low, x), _bound(node, "max", high, x)])
    return True


def _match(node: ir.Node) -> _Limit | None:
    if node.domain or node.op_type not in ("Relu", "Clip", "Max", "Min") or not node.inputs:
        return None
    x = node.inputs[0]
    if x is None or static_shape(x) != static_shape(node.outputs[0]):
        return None
    if node.op_type == "Relu":
        return _Limit(x, 0.0, math.inf)
    bounds = [*(scalar(value) for value in node.inputs[1:]), None, None]
    missing = [value is None for value in node.inputs[1:]] + [True, True]
    if any(bound is None and not left_out for bound, left_out in zip(bounds, missing, strict=False)):
        return None
    if node.op_type == "Clip":
        low = -math.inf if bounds[0] is None else bounds[0]
        high = math.inf if bounds[1] is None else bounds[1]
        return _Limit(x, low, high) if low <= high else None
    if len(node.inputs) != 2 or bounds[0] is None:
        return None
    return _Limit(x, bounds[0], math.inf) if node.op_type == "Max" else _Limit(x, -math.inf, bounds[0])


def _bound(node: ir.Node, name: str, bound: float, x: ir.Value) -> ir.Value | None:
    if math.isinf(bound):
        return None
    assert x.dtype is not None
    array = np.array(bound, x.dtype.numpy())
    return add_initializer(graph_of(node), f"{node.outputs[0].name}/{name}", array, x)
