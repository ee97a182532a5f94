"""Convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompile.backends.coreml.registry import writes
from edgecompile.backends.coreml.view import NodeView
from edgecompile.passes.edit import Array, constant_of


@writes("Conv")
def conv(view: NodeView) -> None:
    rank = view.rank - 2
    pads = view.ints("pads", (0,) * 2 * rank)
    view.finish(
        view.emit("conv", x=view.variable(0), pad_type="custom", pad=paired(pads), **_convolution(view))
    )


@writes("ConvTranspose")
def conv_transpose(view: NodeView) -> None:
    """Output padding is less padding taken off at the ends."""
    rank = view.rank - 2
    pads, extra = view.ints("pads", (0,) * 2 * rank), view.ints("output_padding", (0,) * rank)
    pads[rank:] = [end - more for end, more in zip(pads[rank:], extra, strict=True)]
    arguments = _convolution(view)
    view.finish(
        view.emit("conv_transpose", x=view.variable(0), pad_type="custom", pad=paired(pads), **arguments)
    )


def _convolution(view: NodeView) -> dict[str, Any]:
    ones = (1,) * (view.rank - 2)
    return {
        "weight": view.weights(1),
        "bias": view.input(2) if view.has(2) else None,
        "strides": view.ints("strides", ones),
        "dilations": view.ints("dilations", ones),
        "groups": view.option("group", 1),
    }


def paired(pads: Sequence[int]) -> list[int]:
    """Begin and end of each axis, from all begins and then all ends."""
    half = len(pads) // 2
    return [pad for pair in zip(pads[:half], pads[half:], strict=True) for pad in pair]


@writes("Gemm")
def gemm(view: NodeView) -> None:
    """A dense layer where weights and bias are constant, else a product and a sum."""
    alpha, beta = view.option("alpha", 1.0), view.option("beta", 1.0)
    left, right = bool(view.option("transA", 0)), bool(view.option("transB", 0))
    weights, bias = constant_of(view.value(1)), _bias(view)
    if alpha == beta == 1.0 and not left and weights is not None and (bias is not None or not view.has(2)):
        rows = view.compressed(weights if right else weights.T, str(view.value(1).name))
        view.finish(view.emit("linear", x=view.variable(0), weight=rows, bias=bias))
        return
    y = view.weights(1)
    x = view.emit("matmul", x=view.variable(0), y=y, transpose_x=left, transpose_y=right)
    x = x if alpha == 1.0 else view.emit("mul", x=x, y=view.number(alpha))
    if view.has(2) and beta != 0.0:
        summand = view.variable(2)
        summand = summand if beta == 1.0 else view.emit("mul", x=summand, y=view.number(beta))
        x = view.emit("add", x=x, y=summand)
    view.finish(x)


def _bias(view: NodeView) -> Array | None:
    """The bias as a vector with a number for each output; None where it is no such."""
    bias, columns = view.input(2) if view.has(2) else None, view.result[-1]
    if not isinstance(bias, np.ndarray) or (bias.size != 1 and bias.shape != (columns,)):
        return None
    return np.broadcast_to(bias.ravel(), (columns,)).copy()


@writes("MatMul")
def matmul(view: NodeView) -> None:
    """MIL multiplies matrices; a vector is a matrix of one row or column for that time."""
    x, y = view.weights(0), view.weights(1)
    if view.rank == 1:
        x = view.emit("expand_dims", x=x, axes=[0])
    if len(view.shape(1)) == 1:
        y = view.emit("expand_dims", x=y, axes=[1])
    product = view.emit("matmul", x=x, y=y)
    axes = [axis for axis, one in ((-2, view.rank == 1), (-1, len(view.shape(1)) == 1)) if one]
    view.finish(view.emit("squeeze", x=product, axes=axes) if axes else product)
