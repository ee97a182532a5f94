"""Pooling over sliding windows and over whole planes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from tvm import te, tirx

from edgecompile.kernels.compute import (
    Layout,
    Tensor,
    Window,
    accumulator,
    element_type,
    flatten,
    lowest_value,
    padded_reader,
    reduce_axes,
    shape_of,
    unflatten,
)
from edgecompile.kernels.math import Expr, absolute, cast, dtype_of, sqrt

# Greatest of all elements; minus infinity for none. TVM's own max begins with the lowest finite number.
maximum = te.comm_reducer(
    lambda left, right: tirx.max(left, right), lambda dtype: lowest_value(str(dtype)), name="maximum"
)


def max_pool(data: Tensor, window: Window, shape: Sequence[int], layout: Layout) -> Tensor:
    """The greatest element of each window, padding left out."""
    read = padded_reader(data, layout, window, layout.split(shape)[1], lowest_value(element_type(data)))
    taps = reduce_axes(window.kernel, "k")

    def element(*index: Expr) -> Expr:
        batch, position, channel = layout.split(index)
        return maximum(read(batch, window.position(position, taps), channel), axis=taps)

    return te.compute(tuple(shape), element, name="max_pool")


def max_pool_indices(
    data: Tensor, greatest: Tensor, window: Window, layout: Layout, column_major: bool
) -> Tensor:
    """int64 positions of the first greatest elements (row-major order) in the flattened NCHW input.

    `greatest` is the result of `max_pool`. With `column_major` a plane is flattened with its first axis
    running fastest.
    """
    _, extents, channels = layout.split(shape_of(data))
    outputs = layout.split(shape_of(greatest))[1]
    plane = math.prod(int(e) for e in extents)
    taps = reduce_axes(window.kernel, "k")
    read = padded_reader(data, layout, window, outputs, lowest_value(element_type(data)))
    none = tirx.const(2**31 - 1, "int32")

    def first(*index: Expr) -> Expr:
        batch, position, channel = layout.split(index)
        at = window.position(position, taps)
        inside = [tirx.all(a >= 0, a < e) for a, e in zip(at, extents, strict=True)]
        found = tirx.all(*inside, read(batch, at, channel) == greatest(*index))
        return te.min(tirx.if_then_else(found, flatten(at, extents), none), axis=taps)

    place = te.compute(greatest.shape, first, name="first")

    def flat(*index: Expr) -> Expr:
        batch, _, channel = layout.split(index)
        within = place(*index)
        if column_major:
            within = flatten(unflatten(within, extents)[::-1], extents[::-1])
        return cast(batch * channels + channel, "int64") * plane + cast(within, "int64")

    return te.compute(greatest.shape, flat, name="indices")


def average_pool(
    data: Tensor, window: Window, shape: Sequence[int], layout: Layout, count_pads: bool
) -> Tensor:
    """The mean of each window; `count_pads` divides by the elements in the padding as well.

    Elements beyond the padding, which ceil_mode reaches, never count.
    """
    extents, outputs = layout.split(shape_of(data))[1], layout.split(shape)[1]
    total = accumulator(element_type(data))
    summed = _sum_windows(data, window, shape, layout, lambda value: value)

    def mean(*index: Expr) -> Expr:
        count: Expr = 1
        for axis, at in enumerate(layout.split(index)[1]):
            lowest = -window.pads[axis] if count_pads else 0
            limit = int(extents[axis]) + (window.ends[axis] if count_pads else 0)
            count = count * _taps_inside(window, axis, lowest, limit, int(outputs[axis]), at)
        return cast(summed(*index) / cast(tirx.convert(count), total), element_type(data))

    return te.compute(tuple(shape), mean, name="average_pool")


def lp_pool(data: Tensor, window: Window, shape: Sequence[int], layout: Layout, p: int) -> Tensor:
    """The p-norm of each window."""
    summed = _sum_windows(data, window, shape, layout, lambda value: _power(value, p))
    return te.compute(tuple(shape), lambda *i: cast(_root(summed(*i), p), element_type(data)), name="lp_pool")


def global_average_pool(data: Tensor, shape: Sequence[int], layout: Layout) -> Tensor:
    """The mean of each channel."""
    summed = _sum_planes(data, shape, layout, lambda value: value)
    count = math.prod(int(e) for e in layout.split(shape_of(data))[1])
    return te.compute(
        tuple(shape), lambda *i: cast(summed(*i) / float(count), element_type(data)), name="mean"
    )


def global_max_pool(data: Tensor, shape: Sequence[int], layout: Layout) -> Tensor:
    """The greatest element of each channel."""
    extents = layout.split(shape_of(data))[1]
    axes = reduce_axes([int(e) for e in extents], "s")

    def element(*index: Expr) -> Expr:
        batch, _, channel = layout.split(index)
        return maximum(data(*layout.join(batch, axes, channel)), axis=axes)

    return te.compute(tuple(shape), element, name="global_max_pool")


def global_lp_pool(data: Tensor, shape: Sequence[int], layout: Layout, p: int) -> Tensor:
    """The p-norm of each channel."""
    summed = _sum_planes(data, shape, layout, lambda value: _power(value, p))
    return te.compute(tuple(shape), lambda *i: cast(_root(summed(*i), p), element_type(data)), name="norm")


def _sum_windows(
    data: Tensor, window: Window, shape: Sequence[int], layout: Layout, term: Callable[[Expr], Expr]
) -> Tensor:
    """The sum of `term` over each window, in the accumulator's type."""
    total = accumulator(element_type(data))
    read = padded_reader(data, layout, window, layout.split(shape)[1], tirx.const(0, element_type(data)))
    taps = reduce_axes(window.kernel, "k")

    def element(*index: Expr) -> Expr:
        batch, position, channel = layout.split(index)
        return te.sum(term(cast(read(batch, window.position(position, taps), channel), total)), axis=taps)

    return te.compute(tuple(shape), element, name="window_sum")


def _sum_planes(data: Tensor, shape: Sequence[int], layout: Layout, term: Callable[[Expr], Expr]) -> Tensor:
    """The sum of `term` over each channel's plane, in the accumulator's type."""
    total = accumulator(element_type(data))
    axes = reduce_axes([int(e) for e in layout.split(shape_of(data))[1]], "s")

    def element(*index: Expr) -> Expr:
        batch, _, channel = layout.split(index)
        return te.sum(term(cast(data(*layout.join(batch, axes, channel)), total)), axis=axes)

    return te.compute(tuple(shape), element, name="plane_sum")


def _taps_inside(window: Window, axis: int, lowest: int, limit: int, outputs: int, at: Expr) -> Expr:
    """How many kernel elements of output `at` lie in [lowest, limit); a number when it is always the same."""
    kernel, stride = window.kernel[axis], window.strides[axis]
    dilation, pad = window.dilations[axis], window.pads[axis]

    def first_beyond(bound: int, start: Expr) -> Expr:
        return (bound - start + dilation - 1) // dilation

    starts = [at * stride - pad for at in range(outputs)]
    counts = {
        min(kernel, first_beyond(limit, start)) - max(0, first_beyond(lowest, start)) for start in starts
    }
    if len(counts) == 1:
        return counts.pop()
    start = at * stride - pad
    last = tirx.min(kernel, first_beyond(limit, start))
    return last if lowest <= -pad else last - tirx.max(0, first_beyond(lowest, start))


def _power(value: Expr, p: int) -> Expr:
    """|value| to the power p >= 1, by repeated squaring."""
    if p == 1:
        return absolute(value)
    even = value * value if p < 4 else _power(value * value, p // 2)
    return even * absolute(value) if p % 2 else even


def _root(value: Expr, p: int) -> Expr:
    if p == 1:
        return value
    return sqrt(value) if p == 2 else tirx.power(value, tirx.const(1.0 / p, dtype_of(value)))
