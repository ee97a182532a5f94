"""Averages of domain edgecompile.integer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from edgecompile.core.integer import DOMAIN
from edgecompile.kernels import compute_integer
from edgecompile.kernels.compute import Layout, Tensor, shape_of
from edgecompile.kernels.math import Expr, const
from edgecompile.lower.geometry import window_of
from edgecompile.lower.registry import Kind, NodeView, op
from edgecompile.lower.requantization import constants

_STATIC = (1, 2)


@op("AveragePool", kind=Kind.ANCHOR, static=_STATIC, domain=DOMAIN)
def average_pool(n: NodeView) -> Tensor:
    """The mean of each window."""
    return _average_pool(n, Layout(channels_last=False))


@op("AveragePoolNhwc", kind=Kind.ANCHOR, static=_STATIC, domain=DOMAIN)
def average_pool_nhwc(n: NodeView) -> Tensor:
    """As AveragePool, on channels-last data."""
    return _average_pool(n, Layout(channels_last=True))


def _average_pool(n: NodeView, layout: Layout) -> Tensor:
    window, shape = window_of(n, layout, n.attr("kernel_shape")), n.outputs[0].shape
    total = compute_integer.window_sum(n.input(0), window, shape, layout, n.attr("x_zero"))
    extents, outputs = (layout.split(s)[1] for s in (shape_of(n.input(0)), shape))
    count = compute_integer.window_count(window, extents, outputs, bool(n.attr("count_include_pad", 0)))
    return _mean(n, total, lambda index: count(layout.split(index)[1]))


@op("GlobalAveragePool", kind=Kind.ANCHOR, static=_STATIC, domain=DOMAIN)
def global_average_pool(n: NodeView) -> Tensor:
    """The mean of each channel."""
    rank = len(n.outputs[0].shape)
    return _axes_mean(n, tuple(range(2, rank)), keepdims=True)


@op("GlobalAveragePoolNhwc", kind=Kind.ANCHOR, static=_STATIC, domain=DOMAIN)
def global_average_pool_nhwc(n: NodeView) -> Tensor:
    """As GlobalAveragePool, on channels-last data."""
    rank = len(n.outputs[0].shape)
    return _axes_mean(n, tuple(range(1, rank - 1)), keepdims=True)


@op("ReduceMean", kind=Kind.ANCHOR, static=_STATIC, domain=DOMAIN)
def reduce_mean(n: NodeView) -> Tensor:
    """The mean over the attribute `axes` (not negative)."""
    return _axes_mean(n, n.attr("axes"), bool(n.attr("keepdims")))


def _axes_mean(n: NodeView, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    extents = shape_of(n.input(0))
    total = compute_integer.axes_sum(n.input(0), axes, n.outputs[0].shape, keepdims, n.attr("x_zero"))
    count = const(math.prod(extents[axis] for axis in axes), "int32")
    return _mean(n, total, lambda _: count)


def _mean(n: NodeView, total: Tensor, count: Callable[[Sequence[Expr]], Expr]) -> Tensor:
    return compute_integer.mean(total, count, constants(n, 1), rescaled=n.const(1) is not None)
