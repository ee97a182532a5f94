"""Conv and ConvTranspose of any rank, in NCHW and (domain edgecompile) NHWC."""

from __future__ import annotations

import numpy as np

from edgecompile.kernels import compute_conv
from edgecompile.kernels.compute import Layout, add_bias, shape_of
from edgecompile.kernels.intrinsics.select import float_kernel
from edgecompile.lower.geometry import transposed_window_of, window_of
from edgecompile.lower.layouts import both_layouts
from edgecompile.lower.planned import is_depthwise, planned_conv, planned_depthwise
from edgecompile.lower.registry import Kind, NodeView, Tensor


@both_layouts("Conv", Kind.ANCHOR)
def conv(n: NodeView, layout: Layout) -> Tensor:
    """X [N, C, *S] or [N, *S, C], weights [O, C/G, *K], optional bias [O]."""
    out = n.outputs[0]
    window = window_of(n, layout, shape_of(n.input(1))[2:])
    values = n.const(1)
    if layout.channels_last and values is not None and _is_plain_depthwise(n, values):
        planned = planned_depthwise(n, values, window)
        if planned is not None:
            return add_bias(planned, n.input(2) if n.has(2) else None, layout, out.dtype)
    if values is None:
        weights = compute_conv.read_conv(n.input(1))
    elif layout.channels_last and _has_depth(n, values):
        total = planned_conv(n, values, window, float_kernel(n.isa), halves=n.compact(1) is not None)
        return add_bias(total, n.input(2) if n.has(2) else None, layout, out.dtype)
    else:
        packed = n.rearranged(1, compute_conv.pack_conv_weights(values), "weights")
        weights = compute_conv.read_packed(packed)
    total = compute_conv.conv(n.input(0), weights, window, n.attr("group", 1), out.shape, layout)
    return add_bias(total, n.input(2) if n.has(2) else None, layout, out.dtype)


def _is_plain_depthwise(n: NodeView, weights: np.ndarray) -> bool:
    """Whether it is depthwise, with several channels, by weights that are stored in float32."""
    plain = weights.dtype == np.float32 and n.compact(1) is None and len(weights) > 1
    return plain and is_depthwise(n, weights)


def _has_depth(n: NodeView, weights: np.ndarray) -> bool:
    """Whether outputs sum over input channels (a depthwise convolution does not): a matrix product."""
    return weights.dtype == np.float32 and (weights.shape[1] > 1 or n.attr("group", 1) == 1)


@both_layouts("ConvTranspose", Kind.ANCHOR)
def conv_transpose(n: NodeView, layout: Layout) -> Tensor:
    """X [N, C, *S] or [N, *S, C], weights [C, O/G, *K], optional bias [O]."""
    out, groups = n.outputs[0], n.attr("group", 1)
    window = transposed_window_of(n, layout, shape_of(n.input(1))[2:])
    values = n.const(1)
    if values is None:
        weights = compute_conv.read_transposed(n.input(1), groups)
    else:
        packed = compute_conv.pack_transposed_weights(values, groups)
        weights = compute_conv.read_packed(n.rearranged(1, packed, "packed"))
    total = compute_conv.conv_transpose(n.input(0), weights, window, groups, out.shape, layout)
    return add_bias(total, n.input(2) if n.has(2) else None, layout, out.dtype)
