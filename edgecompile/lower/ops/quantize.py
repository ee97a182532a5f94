"""Quantized operators, computed as ONNX defines them (int32 sums, rescaled in float32)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import te

from edgecompile.kernels import compute_conv
from edgecompile.kernels.compute import Layout, Tensor, add_bias, shape_of
from edgecompile.kernels.compute_matmul import matmul
from edgecompile.kernels.compute_quantize import (
    Parameters,
    centered,
    dequantized,
    quantized,
    requantize,
    uint8_parameters,
)
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr, cast
from edgecompile.lower.centered import Place, centered_conv, centered_matmul
from edgecompile.lower.geometry import window_of
from edgecompile.lower.layouts import both_layouts
from edgecompile.lower.pointwise import normalized_axis, scalar
from edgecompile.lower.registry import Kind, NodeView, op


@op("QuantizeLinear", kind=Kind.ELEMENTWISE)
def quantize_linear(n: NodeView) -> Tensor:
    """float (or int32) to 8 or 16 bits, with a scale for the tensor, a slice of `axis`, or a block of it."""
    return _scaled(n, quantized, "quantize")


@op("DequantizeLinear", kind=Kind.ELEMENTWISE)
def dequantize_linear(n: NodeView) -> Tensor:
    """The inverse of QuantizeLinear."""
    return _scaled(n, dequantized, "dequantize")


def _scaled(n: NodeView, formula: Callable[[Expr, Expr, Expr | None, str], Expr], name: str) -> Tensor:
    """formula(element, scale, zero point, type) of every element."""
    data, info = n.input(0), n.outputs[0]
    scale, zero_point = _parameters(n, 1), _parameters(n, 2) if n.has(2) else None

    def value(*index: Expr) -> Expr:
        zero = zero_point.at(index) if zero_point else None
        return formula(data(*index), scale.at(index), zero, info.dtype)

    return te.compute(info.shape, value, name=name)


@op("DynamicQuantizeLinear", kind=Kind.OPAQUE)
def dynamic_quantize_linear(n: NodeView) -> Sequence[Tensor]:
    """The integers, their scale and their zero point, from the range of this very tensor."""
    data = n.input(0)
    scale, zero = uint8_parameters(data, Machine.of(n.isa).row_lanes)
    integers = te.compute(
        data.shape, lambda *i: quantized(data(*i), scalar(scale), scalar(zero), "uint8"), name="quantize"
    )
    return integers, scale, zero


@op("MatMulInteger", kind=Kind.ANCHOR)
def matmul_integer(n: NodeView) -> Tensor:
    """(A - a zero) (B - b zero) in int32; zero points for the matrix, a row of A, or a column of B."""
    values = n.const(1)
    if values is not None and values.ndim == 2 and len(n.input(0).shape) > 1 and _is_planned(n, values):
        return centered_matmul(n, values, _along(n, 2, -2))
    a, b = n.input(0), n.input(1)
    left, right = centered(a, _along(n, 2, -2)), centered(b, _along(n, 3, -1))
    return matmul(left, right, n.outputs[0].shape, "int32")


@op("QLinearMatMul", kind=Kind.ANCHOR)
def qlinear_matmul(n: NodeView) -> Tensor:
    """MatMulInteger, rescaled by a_scale * b_scale / y_scale; scales for all, each row, each column."""
    a, b, info = n.input(0), n.input(3), n.outputs[0]
    left, right = centered(a, _along(n, 2, -2)), centered(b, _along(n, 5, -1))
    total = matmul(left, right, info.shape, "int32")
    row_scale, column_scale = _place(n, 1, -2), _place(n, 4, -1)
    y_scale = cast(scalar(n.input(6)), "float32")

    def factor(index: Sequence[Expr]) -> Expr:
        return cast(row_scale(index), "float32") * cast(column_scale(index), "float32") / y_scale

    return requantize(total, factor, scalar(n.input(7)), info.dtype)


@both_layouts("ConvInteger", Kind.ANCHOR)
def conv_integer(n: NodeView, layout: Layout) -> Tensor:
    """Conv of X - x zero (which is what the padding holds) and W - w zero, in int32."""
    values, zero = n.const(1), _along(n, 2, 1)
    if layout.channels_last and values is not None and _is_planned(n, values):
        return centered_conv(n, values, window_of(n, layout, values.shape[2:]), zero)
    return _integer_conv(n, n.input(0), n.input(1), zero, _along(n, 3, 0), layout)


@op("QLinearConv", kind=Kind.ANCHOR)
def qlinear_conv(n: NodeView) -> Tensor:
    """ConvInteger plus an int32 bias, rescaled by x_scale * w_scale / y_scale (one w_scale a channel)."""
    info = n.outputs[0]
    layout = Layout(channels_last=False)
    total = _integer_conv(n, n.input(0), n.input(3), _along(n, 2, 1), _along(n, 5, 0), layout)
    total = add_bias(total, n.input(8) if n.has(8) else None, layout, "int32")
    x_scale, y_scale = (cast(scalar(n.input(i)), "float32") for i in (1, 6))
    w_scale = _place(n, 4, 1)

    def factor(index: Sequence[Expr]) -> Expr:
        return x_scale * cast(w_scale(index), "float32") / y_scale

    return requantize(total, factor, scalar(n.input(7)), info.dtype)


def _is_planned(n: NodeView, weights: np.ndarray) -> bool:
    """Whether products by constant `weights` are computed by a plan: int8 without a zero point."""
    zero = n.const(3) if n.has(3) else np.zeros(1)
    return bool(weights.dtype == np.int8 and weights.size and zero is not None and not zero.any())


def _integer_conv(
    n: NodeView,
    data: Tensor,
    weights: Tensor,
    data_zero: Place | None,
    weight_zero: Place | None,
    layout: Layout,
) -> Tensor:
    window = window_of(n, layout, shape_of(weights)[2:])
    read = compute_conv.read_conv(centered(weights, weight_zero))
    shape = n.outputs[0].shape
    return compute_conv.conv(centered(data, data_zero), read, window, n.attr("group", 1), shape, layout)


def _parameters(n: NodeView, index: int) -> Parameters:
    """Input `index` as scales or zero points of input 0."""
    tensor, rank = n.input(index), len(n.input(0).shape)
    axis = normalized_axis(n, n.attr("axis", 1), rank) if tensor.shape and rank else 0
    return Parameters(tensor, axis, n.attr("block_size", 0))


def _along(n: NodeView, index: int, axis: int) -> Place | None:
    """Input `index` by the place along `axis`: one value for all, a vector, or broadcast to the rank."""
    return _place(n, index, axis) if n.has(index) else None


def _place(n: NodeView, index: int, axis: int) -> Place:
    tensor = n.input(index)
    extents = shape_of(tensor)
    if all(extent == 1 for extent in extents):
        return lambda _: scalar(tensor)
    if len(extents) == 1:
        return lambda place: tensor(place[axis])
    return lambda place: tensor(
        *(0 if e == 1 else i for e, i in zip(extents, place[len(place) - len(extents) :], strict=True))
    )
