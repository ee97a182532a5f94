"""Reading at places that come from the network's own data."""

from __future__ import annotations

from tvm import te

from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.integers import wrapped_index
from edgecompile.kernels.math import Expr
from edgecompile.lower.pointwise import normalized_axis
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Gather", kind=Kind.ANCHOR)
def gather(n: NodeView) -> Tensor:
    """Whole slices of one axis, chosen by an index tensor whose shape takes that axis' place."""
    data, indices = n.input(0), n.input(1)
    return _take(n, data, indices, normalized_axis(n, n.attr("axis", 0), len(data.shape)))


@op("ArrayFeatureExtractor", kind=Kind.ANCHOR, domain="ai.onnx.ml")
def array_feature_extractor(n: NodeView) -> Tensor:
    """Columns of the last axis; the indices are a vector or a matrix of one row."""
    data, indices = n.input(0), n.input(1)
    extent = shape_of(data)[-1]

    def place(*index: Expr) -> Expr:
        leading = index[: len(data.shape) - 1] if len(data.shape) > 1 else ()
        chosen = indices(*(0 for _ in indices.shape[:-1]), index[-1])
        return data(*leading, wrapped_index(chosen, extent))

    return te.compute(n.outputs[0].shape, place, name="extract")


def _take(n: NodeView, data: Tensor, indices: Tensor, axis: int) -> Tensor:
    extent, rank = shape_of(data)[axis], len(indices.shape)

    def place(*index: Expr) -> Expr:
        chosen = indices(*index[axis : axis + rank])
        return data(*index[:axis], wrapped_index(chosen, extent), *index[axis + rank :])

    return te.compute(n.outputs[0].shape, place, name="gather")


@op("GatherElements", kind=Kind.ANCHOR)
def gather_elements(n: NodeView) -> Tensor:
    """Every element chooses its place along one axis."""
    data, indices = n.input(0), n.input(1)
    axis = normalized_axis(n, n.attr("axis", 0), len(data.shape))
    extent = shape_of(data)[axis]

    def place(*index: Expr) -> Expr:
        return data(*index[:axis], wrapped_index(indices(*index), extent), *index[axis + 1 :])

    return te.compute(n.outputs[0].shape, place, name="gather_elements")


@op("GatherND", kind=Kind.ANCHOR)
def gather_nd(n: NodeView) -> Tensor:
    """The last axis of the indices holds coordinates of a slice, after `batch_dims` shared axes."""
    data, indices = n.input(0), n.input(1)
    extents, batch = shape_of(data), int(n.attr("batch_dims", 0))
    outer, depth = len(indices.shape) - 1, shape_of(indices)[-1]

    def place(*index: Expr) -> Expr:
        chosen = [wrapped_index(indices(*index[:outer], k), extents[batch + k]) for k in range(depth)]
        return data(*index[:batch], *chosen, *index[outer:])

    return te.compute(n.outputs[0].shape, place, name="gather_nd")
