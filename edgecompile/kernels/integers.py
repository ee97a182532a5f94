"""Integer arithmetic on TVM expressions that wraps, does not trap, and stays in memory."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from edgecompile.kernels.math import (
    Expr,
    cast,
    const,
    dtype_of,
    fmod,
    is_float,
    let,
    select,
)


def wrapping(operation: Callable[[Expr, Expr], Expr]) -> Callable[[Expr, Expr], Expr]:
    """`operation` on two numbers, modulo 2^bits for integers narrower than C's int, which C would widen."""

    def call(a: Expr, b: Expr) -> Expr:
        dtype = dtype_of(a)
        if dtype not in ("int8", "uint8", "int16", "uint16"):
            return operation(a, b)
        return cast(operation(cast(a, "int32"), cast(b, "int32")), dtype)

    return call


def _safe_divisor(b: Expr) -> Expr:
    """`b`, or 1 where dividing by it would trap: by 0, and the lowest integer by -1."""
    dtype = dtype_of(b)
    bad = tirx.EQ(b, const(0, dtype))
    if dtype.startswith("int"):
        bad = tirx.Or(bad, tirx.EQ(b, const(-1, dtype)))
    return select(bad, const(1, dtype), b)


def divide(a: Expr, b: Expr) -> Expr:
    """a / b; integers are rounded towards zero, and x / 0 = 0 as in numpy."""
    dtype = dtype_of(a)
    if is_float(dtype):
        return a / b

    def whole(x: Expr, y: Expr) -> Expr:
        quotient = tirx.truncdiv(x, _safe_divisor(y))
        if dtype.startswith("int"):
            quotient = select(tirx.EQ(y, const(-1, dtype)), const(0, dtype) - x, quotient)
        return select(tirx.EQ(y, const(0, dtype)), const(0, dtype), quotient)

    return let(a, lambda x: let(b, lambda y: whole(x, y)))


def remainder(a: Expr, b: Expr) -> Expr:
    """a - b * trunc(a / b), the sign of `a` as C has it; 0 for an integer b = 0."""
    if is_float(dtype_of(a)):
        return fmod(a, b)
    return let(b, lambda y: tirx.truncmod(a, _safe_divisor(y)))


def modulo(a: Expr, b: Expr) -> Expr:
    """a - b * floor(a / b), the sign of `b` as Python has it; 0 for an integer b = 0."""
    dtype = dtype_of(a)
    if dtype.startswith("uint"):
        return remainder(a, b)
    zero = const(0, dtype)

    def adjusted(r: Expr, y: Expr) -> Expr:
        opposite = tirx.Or(tirx.And(r < zero, y > zero), tirx.And(r > zero, y < zero))
        return select(opposite, r + y, r)

    return let(b, lambda y: let(remainder(a, y), lambda r: adjusted(r, y)))


def wrapped_index(index: Expr, extent: int) -> Expr:
    """An index from the network's data as int32: negative counts from the end; clamped to stay in memory.

    ONNX leaves indices outside of [-extent, extent) undefined.
    """
    at = cast(index, "int32")
    positive = select(at < const(0, "int32"), at + const(extent, "int32"), at)
    return tirx.max(tirx.min(positive, const(extent - 1, "int32")), const(0, "int32"))
