"""Pooling, in NCHW and (domain edgecompile) NHWC, and pooling of regions of interest."""

from __future__ import annotations

from edgecompile.kernels import compute_pool
from edgecompile.kernels.compute import Layout
from edgecompile.lower.geometry import window_of
from edgecompile.lower.layouts import both_layouts
from edgecompile.lower.registry import Kind, NodeView, Tensor


@both_layouts("MaxPool", Kind.ANCHOR)
def max_pool(n: NodeView, layout: Layout) -> Tensor | list[Tensor]:
    """MaxPool with its optional second result, the positions in the flattened input."""
    window = window_of(n, layout, n.attr("kernel_shape"))
    greatest = compute_pool.max_pool(n.input(0), window, n.outputs[0].shape, layout)
    if len(n.outputs) < 2 or not n.outputs[1].name:
        return greatest
    column_major = bool(n.attr("storage_order", 0))
    return [greatest, compute_pool.max_pool_indices(n.input(0), greatest, window, layout, column_major)]


@both_layouts("AveragePool", Kind.ANCHOR)
def average_pool(n: NodeView, layout: Layout) -> Tensor:
    """AveragePool with ceil_mode, dilations and count_include_pad."""
    window = window_of(n, layout, n.attr("kernel_shape"))
    count_pads = bool(n.attr("count_include_pad", 0))
    return compute_pool.average_pool(n.input(0), window, n.outputs[0].shape, layout, count_pads)


@both_layouts("LpPool", Kind.ANCHOR)
def lp_pool(n: NodeView, layout: Layout) -> Tensor:
    """LpPool."""
    window = window_of(n, layout, n.attr("kernel_shape"))
    return compute_pool.lp_pool(n.input(0), window, n.outputs[0].shape, layout, n.attr("p", 2))


@both_layouts("GlobalAveragePool", Kind.REDUCTION)
def global_average_pool(n: NodeView, layout: Layout) -> Tensor:
    """The mean of each channel."""
    return compute_pool.global_average_pool(n.input(0), n.outputs[0].shape, layout)


@both_layouts("GlobalMaxPool", Kind.REDUCTION)
def global_max_pool(n: NodeView, layout: Layout) -> Tensor:
    """The greatest element of each channel."""
    return compute_pool.global_max_pool(n.input(0), n.outputs[0].shape, layout)


@both_layouts("GlobalLpPool", Kind.REDUCTION)
def global_lp_pool(n: NodeView, layout: Layout) -> Tensor:
    """The p-norm of each channel."""
    return compute_pool.global_lp_pool(n.input(0), n.outputs[0].shape, layout, n.attr("p", 2))
