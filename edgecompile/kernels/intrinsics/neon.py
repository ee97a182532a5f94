"""Requantization by A64's fixed-point instructions: lanes of 32 bits, no wide intermediate.

SQDMULH is floor(2ab / 2^32), SQRDMULH the same rounded half up, SRSHL a shift (to the right for negative
counts) rounded half up, SQSHL a shift to the left that saturates. A saturated product still is far outside of
any 8-bit or 16-bit range, on the right side.
"""

from __future__ import annotations

from tvm import tirx

from edgecompile.kernels.math import Expr, const, let

# Instructions that compute each lane from the same lane of their operands.
LANEWISE = ("sqadd", "sqdmulh", "sqrdmulh", "sqshl", "srshl")


def single(total: Expr, factor: Expr, shift: Expr, least_shift: int) -> Expr:
    """(total * factor + 2^(30 + shift)) >> (31 + shift), for 2^30 <= factor < 2^31 or factor = 0.

    No shift is below `least_shift`, unless its factor is 0. With a shift of at least 1, it is exact to round
    the shift alone; for a smaller one `total` is shifted to the left first.
    """
    zero, one = const(0, "int32"), const(1, "int32")
    if isinstance(shift, tirx.IntImm) and least_shift < 1:
        return _call("sqrdmulh", _call("sqshl", total, zero - shift), factor)
    if least_shift < 1:
        total = _call("sqshl", total, tirx.max(one - shift, zero))
        shift = tirx.max(shift, one)
    return _call("srshl", _call("sqdmulh", total, factor), zero - shift)


def double(total: Expr, factor: Expr, shift: Expr, least_shift: int, positive: bool) -> Expr:
    """The doubled product's high half, rounded half up, then a shift rounded half away from zero.

    SRSHL rounds half up: negative numbers are moved down by one first, where there is a shift; not needed
    with `positive`, when a negative number may be rounded either way.
    """
    zero = const(0, "int32")
    if least_shift < 0:
        total = _call("sqshl", total, tirx.max(zero - shift, zero))
        shift = tirx.max(shift, zero)
    right = zero - shift

    def rounded(high: Expr) -> Expr:
        down = tirx.shift_right(tirx.bitwise_and(high, right), const(31, "int32"))
        return _call("srshl", _call("sqadd", high, down), right)

    high = _call("sqrdmulh", total, factor)
    return _call("srshl", high, right) if positive else let(high, rounded)


def _call(instruction: str, a: Expr, b: Expr) -> Expr:
    return tirx.call_llvm_pure_intrin("int32", f"llvm.aarch64.neon.{instruction}", a, b)
