"""Resize by tables: each output is a weighted sum of input elements, axis by axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import te, tirx

from edgecompile.kernels import math
from edgecompile.kernels.compute import Tensor, element_type
from edgecompile.kernels.math import Expr, cast, const, is_float

# Sums of more terms than this become a loop.
_UNROLLED_TERMS = 8


@dataclass(frozen=True)
class AxisTaps:
    """One axis of the output: how many taps, and index, weight and extrapolation as functions.

    `index(output, tap)` is an int32 position in the input; `weight` is None for a plain choice of elements;
    `outside(output)` is None where nothing is extrapolated.
    """

    count: int
    index: Callable[[Expr, Expr], Expr]
    weight: Callable[[Expr, Expr], Expr] | None = None
    outside: Callable[[Expr], Expr] | None = None


def resize(data: Tensor, axes: Sequence[AxisTaps], shape: Sequence[int], extrapolation: float) -> Tensor:
    """`data` resampled to `shape`; integers are rounded to the nearest value that their type can hold."""
    dtype = element_type(data)
    if all(axis.weight is None and axis.outside is None for axis in axes):
        return te.compute(tuple(shape), lambda *i: data(*_chosen(axes, i)), name="resize")
    total = "float64" if dtype == "float64" else "float32"
    terms = 1
    for axis in axes:
        terms *= axis.count
    summed = (
        _sum_unrolled(data, axes, shape, total)
        if terms <= _UNROLLED_TERMS
        else _sum_loop(data, axes, shape, total)
    )

    def element(*index: Expr) -> Expr:
        value = summed(*index)
        outside = [axis.outside(at) for axis, at in zip(axes, index, strict=True) if axis.outside is not None]
        if outside:
            value = math.select(tirx.any(*outside), const(extrapolation, total), value)
        return cast(value, dtype) if is_float(dtype) else math.truncated(math.round_half_even(value), dtype)

    return te.compute(tuple(shape), element, name="resize")


def _chosen(axes: Sequence[AxisTaps], index: Sequence[Expr]) -> list[Expr]:
    return [axis.index(at, 0) for axis, at in zip(axes, index, strict=True)]


def _sum_unrolled(data: Tensor, axes: Sequence[AxisTaps], shape: Sequence[int], total: str) -> Tensor:
    def along(axis: int, index: Sequence[Expr], position: list[Expr]) -> Expr:
        """The sum over the taps of `axis` and of the axes behind it."""
        if axis == len(axes):
            return cast(data(*position), total)
        taps, at = axes[axis], index[axis]
        value = None
        for tap in range(taps.count):
            term = along(axis + 1, index, [*position, taps.index(at, tap)])
            if taps.weight is not None:
                term = term * cast(taps.weight(at, tap), total)
            value = term if value is None else value + term
        return value

    return te.compute(tuple(shape), lambda *index: along(0, index, []), name="interpolate")


def _sum_loop(data: Tensor, axes: Sequence[AxisTaps], shape: Sequence[int], total: str) -> Tensor:
    steps = [te.reduce_axis((0, axis.count), f"t{i}") for i, axis in enumerate(axes) if axis.count > 1]

    def element(*index: Expr) -> Expr:
        loops = iter(steps)
        taps = [next(loops) if axis.count > 1 else 0 for axis in axes]
        position = [axis.index(at, tap) for axis, at, tap in zip(axes, index, taps, strict=True)]
        value = cast(data(*position), total)
        for axis, at, tap in zip(axes, index, taps, strict=True):
            if axis.weight is not None:
                value = value * cast(axis.weight(at, tap), total)
        return te.sum(value, axis=steps)

    return te.compute(tuple(shape), element, name="interpolate")
