"""An int32 sum times a real multiplier, rounded: the step that ends every integer operator.

The modes are defined in core/integer.py. There are the plain definition, in 64 bits, and for A64 the same
integers by instructions that exist for this purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
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
    dtype_of,
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

    `least_shift` and `most_shift` are the lowest and the highest shift to the right of all channels whose
    multiplier is not 0. `rounds` says that there is an instruction which rounds vectors of float32.
    """

    use_neon: bool = False
    least_shift: int = -30
    most_shift: int = 62
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
    wide = dtype_of(product)
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
    """The rounded product: int32 or int64, or a whole float32 in rounding "float".

    With `positive`, a product below 0 may be rounded either way.
    """
    if rounding == "float":
        return _round(cast(accumulator, "float32") * multiplier, form)
    assert shift is not None
    fixed = int(shift.value) if isinstance(shift, tirx.IntImm) else None
    least, most = (form.least_shift, form.most_shift) if fixed is None else (fixed, fixed)
    if form.use_neon:
        if rounding == "single":
            return neon.single(accumulator, multiplier, shift, least)
        return neon.double(accumulator, multiplier, shift, least, positive)
    total, factor = cast(accumulator, "int64"), cast(multiplier, "int64")
    if rounding == "single":
        return let(cast(shift, "int64") + const(31, "int64"), lambda s: shift_half_up(total * factor, s))
    # A multiplier of 0 may come with any shift.
    bits = const(fixed, "int32") if fixed is not None and fixed >= 0 else tirx.max(shift, const(0, "int32"))
    if least < 0:
        zero = const(0, "int64")
        left = tirx.shift_left(total, tirx.max(zero - cast(shift, "int64"), zero))
        total = tirx.max(tirx.min(left, const(_INT32_MAX, "int64")), const(_INT32_MIN, "int64"))
    high = shift_half_up(total * factor, const(31, "int64"))
    if most <= 31:
        return _shift_half_away(cast(high, "int32"), tirx.min(bits, const(31, "int32")))
    return _shift_half_away(high, cast(bits, "int64"))


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


def _shift_half_away(value: Expr, bits: Expr) -> Expr:
    """value / 2^bits, halves rounded away from zero; both of one type, of more than `bits` bits."""
    dtype = dtype_of(value)
    zero, one = const(0, dtype), const(1, dtype)
    most, last_bit = np.iinfo(dtype).max, np.iinfo(dtype).bits - 1

    def rounded(v: Expr, mask: Expr) -> Expr:
        threshold = tirx.shift_right(mask, one) + tirx.Select(v < zero, one, zero)
        up = tirx.Select(tirx.bitwise_and(v, mask) > threshold, one, zero)
        return tirx.shift_right(v, bits) + up

    mask = tirx.shift_right(const(most, dtype), const(last_bit, dtype) - bits)
    return let(value, lambda v: let(mask, lambda m: rounded(v, m)))
