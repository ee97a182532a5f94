"""Convolutions and matrix products of domain edgecompile.integer.

Their sums are int32, or int64 where a node has the attribute `sum_shift`.
"""

from __future__ import annotations

import math

import numpy as np

from edgecompile.core.integer import DOMAIN
from edgecompile.kernels import compute_integer
from edgecompile.kernels.compute import Layout, element_type
from edgecompile.kernels.compute_conv import pack_conv_weights, read_packed
from edgecompile.kernels.compute_gemm import rows_of
from edgecompile.kernels.cortex_m.calls import INSTRUCTION_SETS
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.in_steps import STEP, InSteps
from edgecompile.kernels.intrinsics.select import integer_kernel
from edgecompile.lower.called import called_conv, called_gemm
from edgecompile.lower.geometry import window_of
from edgecompile.lower.planned import is_depthwise, planned_conv, planned_depthwise, planned_matmul
from edgecompile.lower.registry import Kind, NodeView, Tensor, op
from edgecompile.lower.requantization import constants, per_channel


@op("Conv", kind=Kind.ANCHOR, domain=DOMAIN)
def conv(n: NodeView) -> Tensor:
    """x, weights [O, C/G, *K], bias [O], multiplier [O], shift [O]."""
    return _conv(n, Layout(channels_last=False))


@op("ConvNhwc", kind=Kind.ANCHOR, domain=DOMAIN, called=INSTRUCTION_SETS)
def conv_nhwc(n: NodeView) -> Tensor:
    """As Conv, on channels-last data."""
    return _conv(n, Layout(channels_last=True))


def _conv(n: NodeView, layout: Layout) -> Tensor:
    values = n.require_const(1)
    window = window_of(n, layout, values.shape[2:])
    call = called_conv(n, values, window) if layout.channels_last else None
    if call is not None:
        return call
    total = None
    if layout.channels_last:
        if is_depthwise(n, values):
            total = None if _is_wide(n, values) else planned_depthwise(n, values, window, n.attr("x_zero"))
        else:
            total = planned_conv(n, values, window, _kernel(n, values), n.attr("x_zero"))
    if total is None:
        weights = read_packed(n.weight(pack_conv_weights(values), "packed"))
        shape, groups = n.outputs[0].shape, n.attr("group", 1)
        total = compute_integer.conv(
            n.input(0), weights, window, groups, shape, layout, n.attr("x_zero"), _sums(n)
        )
    return compute_integer.epilogue(
        total, n.input(2), per_channel(n, 3), lambda index: layout.split(index)[2]
    )


def _kernel(n: NodeView, values: np.ndarray) -> MicroKernel:
    """The micro-kernel for the node's data and these weights."""
    rows = rows_of(n.outputs[0].shape)
    kernel = integer_kernel(n.isa, element_type(n.input(0)), int(values.min()), rows)
    return InSteps(kernel) if _is_wide(n, values) else kernel


def _is_wide(n: NodeView, values: np.ndarray) -> bool:
    """Whether sums of products with these weights, without the bias, may leave int32."""
    return bool(n.attr("sum_shift", 0)) and math.prod(values.shape[1:]) > STEP


def _sums(n: NodeView) -> str:
    return "int64" if n.attr("sum_shift", 0) else "int32"


@op("Gemm", kind=Kind.ANCHOR, domain=DOMAIN, called=INSTRUCTION_SETS)
def gemm(n: NodeView) -> Tensor:
    """x [M, K], weights [N, K], bias [N], multiplier [N], shift [N]."""
    values = n.require_const(1)
    call = called_gemm(n, values)
    if call is not None:
        return call
    total = planned_matmul(n, n.input(0), values, n.outputs[0].shape, _kernel(n, values))
    return compute_integer.epilogue(total, n.input(2), per_channel(n, 3), lambda index: index[1])


@op("MatMul", kind=Kind.ANCHOR, static=(2, 3), domain=DOMAIN)
def matmul(n: NodeView) -> Tensor:
    """numpy.matmul of two activations of rank 2 or more."""
    zeros = n.attr("a_zero"), n.attr("b_zero")
    total = compute_integer.matmul(n.input(0), n.input(1), *zeros, n.outputs[0].shape, _sums(n))
    return compute_integer.epilogue(total, None, constants(n, 2), lambda _: 0)
