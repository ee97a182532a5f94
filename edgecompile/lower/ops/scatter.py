"""Writing at places that come from the network's own data."""

from __future__ import annotations

from edgecompile.kernels import compute_scatter as kernels
from edgecompile.lower.pointwise import normalized_axis
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Scatter", "ScatterElements", kind=Kind.OPAQUE)
def scatter_elements(n: NodeView) -> Tensor:
    """Updates in order; of several replacements of one element the last one stays."""
    data = n.input(0)
    axis = normalized_axis(n, n.attr("axis", 0), len(data.shape))
    return kernels.scatter_elements(data, n.input(1), n.input(2), axis, _reduction(n))


@op("ScatterND", kind=Kind.OPAQUE)
def scatter_nd(n: NodeView) -> Tensor:
    return kernels.scatter_nd(n.input(0), n.input(1), n.input(2), _reduction(n))


@op("TensorScatter", kind=Kind.OPAQUE)
def tensor_scatter(n: NodeView) -> Tensor:
    """Update of a key/value cache: one start position a batch entry."""
    cache = n.input(0)
    axis = normalized_axis(n, n.attr("axis", -2), len(cache.shape))
    starts = n.input(2) if n.has(2) else None
    return kernels.tensor_scatter(cache, n.input(1), starts, axis, n.attr("mode", "linear") == "circular")


def _reduction(n: NodeView) -> str:
    reduction = str(n.attr("reduction", "none"))
    if reduction not in kernels.REDUCTIONS:
        raise n.unsupported(f"reduction '{reduction}' is not known", f"use {', '.join(kernels.REDUCTIONS)}")
    return reduction
