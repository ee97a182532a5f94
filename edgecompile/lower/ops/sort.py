"""Orders and running totals: TopK, CumSum, CumProd, Hardmax."""

from __future__ import annotations

import operator
from collections.abc import Sequence

from tvm import te, tirx

from edgecompile.kernels.compute_reduce import find_extreme
from edgecompile.kernels.compute_sort import scan, top_k
from edgecompile.kernels.integers import wrapping
from edgecompile.kernels.math import Expr, cast, const, select
from edgecompile.lower.pointwise import normalized_axis
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("TopK", kind=Kind.OPAQUE, static=(1,))
def top(n: NodeView) -> Sequence[Tensor]:
    """Sorted even where the node allows any order."""
    data = n.input(0)
    axis = normalized_axis(n, n.attr("axis", -1), len(data.shape))
    return top_k(data, axis, n.outputs[0].shape[axis], bool(n.attr("largest", 1)))


@op("CumSum", "CumProd", kind=Kind.OPAQUE, static=(1,))
def cumulative(n: NodeView) -> Tensor:
    data = n.input(0)
    axis = normalized_axis(n, int(n.require_const(1).item()), len(data.shape))
    combine, neutral = (operator.add, 0) if n.node.op_type == "CumSum" else (operator.mul, 1)
    exclusive, reverse = (bool(n.attr(name, 0)) for name in ("exclusive", "reverse"))
    return scan(data, axis, wrapping(combine), neutral, exclusive, reverse)


@op("Hardmax", kind=Kind.OPAQUE)
def hardmax(n: NodeView) -> Tensor:
    """1 at the first largest element along one axis, else 0 (the meaning since opset 13)."""
    data, info = n.input(0), n.outputs[0]
    axis = normalized_axis(n, n.attr("axis", -1), len(info.shape))
    best = find_extreme(data, axis, lowest=False, last=False)

    def hot(*index: Expr) -> Expr:
        place = best(*index[:axis], 0, *index[axis + 1 :])
        return select(tirx.EQ(cast(place, "int32"), index[axis]), const(1, info.dtype), const(0, info.dtype))

    return te.compute(info.shape, hot, name="hardmax")
