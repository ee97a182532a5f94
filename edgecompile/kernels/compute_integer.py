"""Compute definitions on quantized integers: sums in int32 (int64 where they need it), then `requantize`.

These definitions fix the integers. `conv`, `gemm` and `matmul` return the bare sums and
`Requantization` turns a sum into an output element, so that a kernel for an instruction set replaces the
first and keeps the second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te, tirx

from edgecompile.core.integer import Rounding, add_shift
from edgecompile.kernels.compute import (
    Layout,
    Tensor,
    Window,
    broadcast_index,
    cast_tensor,
    element_type,
    padded_reader,
    reduce_axes,
    shape_of,
)
from edgecompile.kernels.compute_conv import WeightReader
from edgecompile.kernels.math import Expr, cast, const, dtype_of
from edgecompile.kernels.requantize import PLAIN, Form, divide_half_away, requantize, rescale, shift_half_up

Index = Sequence[Expr]


@dataclass(frozen=True)
class Requantization:
    """How an int32 sum becomes an element of type `dtype`.

    `factors` gives the multiplier and the shift (None in rounding "float") of a channel. `sum_shift`, where
    not 0, brings a sum of 64 bits to int32 first.
    """

    factors: Callable[[Expr], tuple[Expr, Expr | None]]
    y_zero: int
    lo: int
    hi: int
    rounding: Rounding
    dtype: str
    form: Form = PLAIN
    sum_shift: int = 0

    def at(self, total: Expr, channel: Expr = 0) -> Expr:
        """The output element for the sum `total` of `channel`."""
        if self.sum_shift:
            total = cast(shift_half_up(total, const(self.sum_shift, "int64")), "int32")
        limits = self.y_zero, self.lo, self.hi
        result = requantize(total, *self.factors(channel), *limits, self.rounding, self.form)
        return cast(result, self.dtype)

    def rescaled(self, total: Expr, channel: Expr = 0, positive: bool = False) -> Expr:
        """The sum `total` of `channel` on the output's scale, as int32; `positive`: it is never below 0."""
        return rescale(total, *self.factors(channel), self.rounding, self.form, positive)


def conv(
    data: Tensor,
    weights: WeightReader,
    window: Window,
    groups: int,
    shape: Sequence[int],
    layout: Layout,
    x_zero: int,
    accumulator: str = "int32",
) -> Tensor:
    """Sums of data * weights over the window, of type `accumulator`; the padding holds `x_zero`."""
    _, extents, channels = layout.split(shape)
    per_group = int(layout.split(shape_of(data))[2]) // groups
    read = padded_reader(data, layout, window, extents, const(x_zero, element_type(data)))
    taps = reduce_axes(window.kernel, "k")
    depth = [] if per_group == 1 else [te.reduce_axis((0, per_group), "c")]

    def element(*index: Expr) -> Expr:
        batch, position, output = layout.split(index)
        group = tirx.indexdiv(output, int(channels) // groups) if groups > 1 else 0
        within = depth[0] if depth else 0
        value = read(batch, window.position(position, taps), group * per_group + within)
        axes = [*taps, *depth] if layout.channels_last else [*depth, *taps]
        product = cast(value, "int32") * cast(weights(taps, within, output), "int32")
        return te.sum(cast(product, accumulator), axis=axes)

    return te.compute(tuple(shape), element, name="integer_conv" if depth else "integer_depthwise")


def gemm(x: Tensor, w: Tensor) -> Tensor:
    """int32 sums x [M, K] times w [K, N]."""
    (rows, depth), columns = shape_of(x), shape_of(w)[1]
    k = te.reduce_axis((0, depth), "k")
    return te.compute(
        (rows, columns),
        lambda i, j: te.sum(cast(x(i, k), "int32") * cast(w(k, j), "int32"), axis=k),
        name="integer_gemm",
    )


def matmul(
    a: Tensor, b: Tensor, a_zero: int, b_zero: int, shape: Sequence[int], accumulator: str = "int32"
) -> Tensor:
    """Sums, of type `accumulator`, of numpy.matmul of the two without zero points; ranks of at least 2."""
    a_extents, b_extents = shape_of(a), shape_of(b)
    k = te.reduce_axis((0, a_extents[-1]), "k")

    def element(*index: Expr) -> Expr:
        *batch, row, column = index
        left = a(*broadcast_index(batch, a_extents[:-2]), row, k)
        right = b(*broadcast_index(batch, b_extents[:-2]), k, column)
        return te.sum(cast(centered(left, a_zero) * centered(right, b_zero), accumulator), axis=k)

    return te.compute(tuple(shape), element, name="integer_matmul")


def epilogue(
    total: Tensor, bias: Tensor | None, result: Requantization, channel: Callable[[Index], Expr]
) -> Tensor:
    """The output tensor for sums; `channel` finds the entry of bias and multiplier for an index."""

    def element(*index: Expr) -> Expr:
        value, c = total(*index), channel(index)
        if bias is not None:
            value = cast(value, element_type(bias)) + bias(c)
        return result.at(value, c)

    return te.compute(total.shape, element, name="requantize")


def centered(value: Expr, zero: int) -> Expr:
    """value - zero as int32."""
    wide = cast(value, "int32")
    return wide - const(zero, "int32") if zero else wide


def scaled_sum(
    values: tuple[Expr, Expr], zeros: tuple[int, int], subtract: bool, scale: Requantization
) -> Expr:
    """The int32 sum (or difference) of two elements, on a common scale; `scale` has a factor for each."""
    left = add_shift(*map(dtype_of, values))
    first, second = (
        scale.rescaled(
            centered(value, zero) * const(1 << left, "int32"),
            place,
            positive=zero == np.iinfo(dtype_of(value)).min,
        )
        for place, (value, zero) in enumerate(zip(values, zeros, strict=True))
    )
    return first - second if subtract else first + second


def window_sum(data: Tensor, window: Window, shape: Sequence[int], layout: Layout, zero: int) -> Tensor:
    """int32 sums of data - zero over each window; the padding counts as 0."""
    wide = cast_tensor(data, "int32")
    read = padded_reader(wide, layout, window, layout.split(shape)[1], const(zero, "int32"))
    taps = reduce_axes(window.kernel, "k")

    def element(*index: Expr) -> Expr:
        batch, position, channel = layout.split(index)
        return te.sum(centered(read(batch, window.position(position, taps), channel), zero), axis=taps)

    return te.compute(tuple(shape), element, name="integer_window_sum")


def axes_sum(data: Tensor, axes: Sequence[int], shape: Sequence[int], keepdims: bool, zero: int) -> Tensor:
    """int32 sums of data - zero over `axes`."""
    extents = shape_of(data)
    summed = dict(zip(axes, reduce_axes([extents[axis] for axis in axes], "s"), strict=True))

    def element(*index: Expr) -> Expr:
        rest = iter(at for axis, at in enumerate(index) if not (keepdims and axis in summed))
        place = [summed[axis] if axis in summed else next(rest) for axis in range(len(extents))]
        return te.sum(centered(data(*place), zero), axis=list(summed.values()))

    return te.compute(tuple(shape), element, name="integer_sum")


def mean(total: Tensor, count: Callable[[Index], Expr], result: Requantization, rescaled: bool) -> Tensor:
    """total / count + zero point, clamped; `rescaled` brings the sum to the output's scale before."""

    def element(*index: Expr) -> Expr:
        value = total(*index)
        if rescaled:
            value = result.rescaled(value)
        moved = divide_half_away(value, count(index)) + const(result.y_zero, "int32")
        clamped = tirx.max(tirx.min(moved, const(result.hi, "int32")), const(result.lo, "int32"))
        return cast(clamped, result.dtype)

    return te.compute(total.shape, element, name="integer_mean")


def window_count(
    window: Window, extents: Sequence[int], outputs: Sequence[int], count_pads: bool
) -> Callable[[Sequence[Expr]], Expr]:
    """How many elements the window at an output position holds, padding included when `count_pads`."""
    counts = []
    for axis in range(window.rank):
        low = -window.pads[axis] if count_pads else 0
        high = extents[axis] + (window.ends[axis] if count_pads else 0)
        starts = [at * window.strides[axis] - window.pads[axis] for at in range(outputs[axis])]
        taps = [k * window.dilations[axis] for k in range(window.kernel[axis])]
        counts.append([sum(low <= start + tap < high for tap in taps) for start in starts])

    def count(position: Sequence[Expr]) -> Expr:
        number: Expr = const(math.prod(row[0] for row in counts if len(set(row)) == 1), "int32")
        for row, at in zip(counts, position, strict=True):
            if len(set(row)) > 1:
                number = number * _choose(row, at)
        return number

    return count


def _choose(values: Sequence[int], at: Expr) -> Expr:
    """values[at] for values that change at few places: a chain of comparisons."""
    result: Expr = const(values[-1], "int32")
    for place in range(len(values) - 1, 0, -1):
        if values[place] != values[place - 1]:
            result = tirx.Select(at < place, const(values[place - 1], "int32"), result)
    return result
