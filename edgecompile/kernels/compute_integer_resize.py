"""Linear interpolation of quantized integers, in fixed point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvm import te, tirx

from edgecompile.kernels.compute import Tensor
from edgecompile.kernels.compute_integer import Requantization
from edgecompile.kernels.math import Expr, cast, const, let

# What a table of places holds for each element of the result: two neighbours in the data, and how far it is
# from the first to the second.
LOW, HIGH, FRACTION = range(3)


def resize_linear(
    data: Tensor,
    places: Mapping[int, Tensor],
    shape: Sequence[int],
    bits: int,
    zero: int,
    result: Requantization,
    rescaled: bool,
) -> Tensor:
    """`data`, whose zero point is `zero`, interpolated along the axes of `places`, with fractions of `bits`.

    A table of places is int32 [elements of the result, 3]. `rescaled` says that the factor of `result`
    divides by 2^bits for each axis.
    """
    fraction = bits * len(places)

    def between(axis: int, index: Sequence[Expr], position: list[Expr]) -> Expr:
        """The element at `position` and `index` behind it, times 2^bits for each axis of places there."""
        if axis == len(index):
            return cast(data(*position), "int32")
        at, table = index[axis], places.get(axis)
        if table is None:
            return between(axis + 1, index, [*position, at])
        low, high = (between(axis + 1, index, [*position, table(at, end)]) for end in (LOW, HIGH))
        step = table(at, FRACTION)
        return let(low, lambda first: first * const(1 << bits, "int32") + (high - first) * step)

    def element(*index: Expr) -> Expr:
        total = between(0, index, []) - const(zero << fraction, "int32")
        if rescaled:
            return result.at(total)
        moved = _divided(total, fraction) + const(result.y_zero, "int32")
        clamped = tirx.max(tirx.min(moved, const(result.hi, "int32")), const(result.lo, "int32"))
        return cast(clamped, result.dtype)

    return te.compute(tuple(shape), element, name="integer_resize")


def _divided(total: Expr, bits: int) -> Expr:
    """total / 2^bits, rounded half away from zero."""

    def rounded(value: Expr) -> Expr:
        sign = tirx.shift_right(value, const(31, "int32"))
        return tirx.shift_right(value + const((1 << bits) >> 1, "int32") + sign, const(bits, "int32"))

    return let(total, rounded)
