"""Integer products by constant int8 weights, of data whose zero point is only known at run time.

    sum of (x[k] - zero) * w[k]  =  sum of x[k] * w[k]  -  zero * sum of w[k]

The first sum is a planned product, and the sums of weights are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from tvm import te

from edgecompile.kernels.compute import Layout, Tensor, Window, element_type, shape_of
from edgecompile.kernels.compute_gemm import rows_of
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.select import integer_kernel
from edgecompile.kernels.math import Expr, cast
from edgecompile.lower.planned import is_depthwise, planned_conv, planned_depthwise, planned_matmul
from edgecompile.lower.registry import NodeView

Place = Callable[[Sequence[Expr]], Expr]


def centered_matmul(n: NodeView, weights: np.ndarray, zero: Place | None) -> Tensor:
    """Input 0 [..., K], less the zero point at an index of the result, times `weights` [K, N]."""
    shape = n.outputs[0].shape
    total = planned_matmul(n, n.input(0), weights.T, shape, _kernel(n, weights))
    sums = weights.sum(axis=0, dtype=np.int32)
    return _without_zero(n, total, zero, sums, lambda index: (index[-1],))


def centered_conv(n: NodeView, weights: np.ndarray, window: Window, zero: Place | None) -> Tensor:
    """Channels-last convolution of input 0, less its zero point, by `weights` [O, C/G, *K].

    The padding holds the zero point. So what a position sees of the weights depends on where it is: there is
    a row of sums for each class of positions, as few as there are ways to reach over a border.
    """
    layout, shape = Layout(channels_last=True), n.outputs[0].shape
    total = planned_depthwise(n, weights, window, 0) if is_depthwise(n, weights) else None
    if total is None:
        total = planned_conv(n, weights, window, _kernel(n, weights))
    classes = [
        _classes(window, axis, shape_of(n.input(0))[1 + axis], shape[1 + axis]) for axis in range(window.rank)
    ]
    sums = weights.sum(axis=1, dtype=np.int32)
    for masks, _ in classes:
        sums = np.tensordot(sums, masks, axes=([1], [1]))
    numbers = [_numbers(n, f"classes{axis}", own) for axis, (_, own) in enumerate(classes)]

    def place(index: Sequence[Expr]) -> tuple[Expr, ...]:
        _, position, channel = layout.split(index)
        return (*(number(at) for number, at in zip(numbers, position, strict=True)), channel)

    return _without_zero(n, total, zero, np.moveaxis(sums, 0, -1), place)


def _kernel(n: NodeView, weights: np.ndarray) -> MicroKernel:
    return integer_kernel(n.isa, element_type(n.input(0)), int(weights.min()), rows_of(n.outputs[0].shape))


def _without_zero(
    n: NodeView,
    total: Tensor,
    zero: Place | None,
    sums: np.ndarray,
    place: Callable[[Sequence[Expr]], tuple[Expr, ...]],
) -> Tensor:
    if zero is None:
        return total
    table = n.weight(sums.astype(np.int32), "sums")

    def element(*index: Expr) -> Expr:
        return total(*index) - cast(zero(index), "int32") * table(*place(index))

    return te.compute(total.shape, element, name="centered_product")


def _classes(window: Window, axis: int, extent: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Which taps along `axis` are inside of the data: [classes, taps] as 0 and 1, and each output's class."""
    taps = np.arange(window.kernel[axis]) * window.dilations[axis]
    starts = np.arange(outputs) * window.strides[axis] - window.pads[axis]
    at = starts[:, None] + taps
    masks, numbers = np.unique((at >= 0) & (at < extent), axis=0, return_inverse=True)
    return masks.astype(np.int32), numbers.reshape(-1).astype(np.int32)


def _numbers(n: NodeView, label: str, values: np.ndarray) -> Callable[[Expr], Expr]:
    """values[at], read from memory unless all are the same."""
    if not values.any():
        return lambda at: 0
    table = n.weight(values, label)
    return lambda at: table(at)
