"""An int32 sum times a real multiplier, rounded: the step that ends every integer operator.

The modes are defined in core/integer.py. There are the plain definition, in 64 bits, and for A64 the same
integers by instructions that exist for this purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompile.core.integer import Rounding
from edgecompile.kernels.intrinsics import neon
from edgecompile.kernels.math import (
    Expr,
    absolute,
    at_least,
    at_most,
    cast,
    const,
    let,
    round_half_even,
)

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1
# Adding this to a float32 of magnitude below 2^22 leaves its nearest integer (ties to even) in the last bits.
_ROUNDER = 1.5 * 2.0**23
_ROUNDER_BITS = 0x4B400000


@dataclass(frozen=True)
class Form:
    """Which instructions compute the product; the integers are the same.

    `least_shift` is the lowest shift to the right of all channels whose multiplier is not 0. `rounds` says
    that there is an instruction which rounds vectors of float32.
    """

    use_neon: bool = False
    least_shift: int = -30
    rounds: bool = True


PLAIN = Form()


def requantize(
    accumulator: Expr,
    multiplier: Expr,
    shift: Expr | None,
    y_zero: int,
    lo: int,
    hi: int,
    rounding: Rounding,
    form: Form = PLAIN,
) -> Expr:
    """clamp(round(accumulator * M) + y_zero, lo, hi) as int32, for an int32 `accumulator`.

    `multiplier` is int32 with an int32 `shift`, or float32 without one. The product is clamped before the
    zero point is added, when every number is still in range.
    """
    least, most = lo - y_zero, hi - y_zero
    if rounding == "float":
        product = cast(accumulator, "float32") * multiplier
        clamped = at_most(at_least(product, const(least, "float32")), const(most, "float32"))
        bits = tirx.reinterpret("int32", clamped + const(_ROUNDER, "float32"))
        return bits - const(_ROUNDER_BITS - y_zero, "int32")
    # What is below 0 is clamped anyway where the least result is 0, however it is rounded.
    product = _product(accumulator, multiplier, shift, rounding, form, positive=least >= 0)
    wide = "int32" if form.use_neon else "int64"
    clamped = tirx.max(tirx.min(product, const(most, wide)), const(least, wide))
    return cast(clamped, "int32") + const(y_zero, "int32")


def rescale(
    accumulator: Expr,
    multiplier: Expr,
    shift: Expr | None,
    rounding: Rounding,
    form: Form = PLAIN,
    positive: bool = False,
) -> Expr:
    """round(accumulator * M) as int32, which the result must fit; `positive` says that no sum is below 0."""
    return cast(_product(accumulator, multiplier, shift, rounding, form, positive), "int32")


def shift_half_up(value: Expr, bits: Expr) -> Expr:
    """value / 2^bits for int64, halves rounded up; bits > 0."""
    one = const(1, "int64")
    return tirx.shift_right(value + tirx.shift_left(one, bits - one), bits)


def divide_half_away(total: Expr, count: Expr) -> Expr:
    """total / count, rounded to the nearest, halves away from zero; int32, count > 0."""

    def rounded(value: Expr) -> Expr:
        half = tirx.truncdiv(tirx.convert(count), const(2, "int32"))
        moved = tirx.Select(value > const(0, "int32"), value + half, value - half)
        return tirx.truncdiv(moved, tirx.convert(count))

    return let(total, rounded)


def _product(
    accumulator: Expr,
    multiplier: Expr,
    shift: Expr | None,
    rounding: Rounding,
    form: Form,
    positive: bool,
) -> Expr:
    """The rounded product: int64 (int32 by NEON), or a whole float32 in rounding "float".

    With `positive`, a product below 0 may be rounded either way.
    """
    if rounding == "float":
        return _round(cast(accumulator, "float32") * multiplier, form)
    assert shift is not None
    if form.use_neon:
        least = int(shift.value) if isinstance(shift, tirx.IntImm) else form.least_shift
        if rounding == "single":
            return neon.single(accumulator, multiplier, shift, least)
        return neon.double(accumulator, multiplier, shift, least, positive)
    total, factor = cast(accumulator, "int64"), cast(multiplier, "int64")
    if rounding == "single":
        return let(cast(shift, "int64") + const(31, "int64"), lambda s: shift_half_up(total * factor, s))
    if _is_negative(shift) is False:
        return _double(total, factor, cast(shift, "int64"), positive)
    zero = const(0, "int64")

    def shifted(s: Expr) -> Expr:
        left = tirx.shift_left(total, tirx.max(zero - s, zero))
        saturated = tirx.max(tirx.min(left, const(_INT32_MAX, "int64")), const(_INT32_MIN, "int64"))
        return _double(saturated, factor, tirx.max(s, zero), positive)

    return let(cast(shift, "int64"), shifted)


def _round(value: Expr, form: Form) -> Expr:
    """A float32 rounded to the nearest integer, ties to even; without an instruction, for |value| <= 2^30.

    The limits keep the product that `value` is from being fused with the addition, which would round once
    less.
    """
    if form.rounds:
        return round_half_even(value)
    rounder, limit = const(_ROUNDER, "float32"), const(2.0**30, "float32")

    def small(v: Expr) -> Expr:
        # Not (v + rounder) - rounder, which TVM takes for v.
        whole = tirx.reinterpret("int32", v + rounder) - const(_ROUNDER_BITS, "int32")
        return tirx.Select(absolute(v) < const(2.0**22, "float32"), cast(whole, "float32"), v)

    return let(at_most(at_least(value, -limit), limit), small)


def _double(total: Expr, factor: Expr, right: Expr, positive: bool) -> Expr:
    """The doubled product's high half, then a shift to the right by `right` >= 0 bits."""
    high = shift_half_up(total * factor, const(31, "int64"))
    return let(high, lambda h: let(right, lambda r: _shift_half_away(h, r, positive)))


def _shift_half_away(value: Expr, bits: Expr, positive: bool) -> Expr:
    """value / 2^bits, halves rounded away from zero (up, with `positive`); bits >= 0."""
    zero, one = const(0, "int64"), const(1, "int64")
    mask = tirx.shift_left(one, bits) - one
    if positive:
        return tirx.shift_right(value + tirx.shift_right(mask + one, one), bits)
    threshold = tirx.shift_right(mask, one) + tirx.Select(value < zero, one, zero)
    up = tirx.Select(tirx.bitwise_and(value, mask) > threshold, one, zero)
    return tirx.shift_right(value, bits) + up


def _is_negative(shift: Expr) -> bool | None:
    """Whether a constant shift goes to the left; None when it is only known at run time."""
    return int(shift.value) < 0 if isinstance(shift, tirx.IntImm) else None
