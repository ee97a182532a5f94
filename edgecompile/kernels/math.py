"""Scalar mathematics on TVM expressions, for every element type and both code generators.

float32 exp, tanh, sigmoid and erf are polynomials in plain arithmetic: they become vector instructions, need
no libm, and give the same result on every device up to fused multiply-adds. Everything else is a libm call.
float16 is computed in float32. The polynomials are our own minimax fits (Lawson's iteration on a dense grid);
the bounds in the docstrings are checked by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tvm import tirx

Expr = Any  # a scalar expression of TVM; its classes are untyped

# Round-to-nearest split of ln 2 (Cody and Waite): n * _LN2_HIGH is exact for |n| < 2^9.
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.12194440e-4
# (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2.
_EXP = (0.49999994, 0.16666515, 0.041668456, 0.008369419, 0.0013813144)
# erf(x) / x = P(x^2) / Q(x^2) for |x| <= 3.95, beyond which erf is 1 in float32.
_ERF_LIMIT = 3.95
_ERF_P = (1.1283791, 0.1915511, 0.052875504, 0.0038081843, 0.0002846863, 2.0258757e-06)
_ERF_Q = (1.0, 0.5030904, 0.11455991, 0.015055135, 0.0011707278, 3.7831395e-05)


def dtype_of(value: Expr) -> str:
    """The element type of an expression, by its numpy name."""
    return str(value.ty.dtype)


def const(value: float | bool, dtype: str) -> Expr:
    """A constant of type `dtype`."""
    return tirx.const(value, dtype)


def is_float(dtype: str) -> bool:
    return dtype.startswith("float")


def cast(value: Expr, dtype: str) -> Expr:
    """`value` as `dtype` (C conversion); nothing when it already is."""
    return value if dtype_of(value) == dtype else tirx.Cast(dtype, value)


def let(value: Expr, use: Callable[[Expr], Expr]) -> Expr:
    """`use(value)`, with `value` computed once however often it is used."""
    if isinstance(value, tirx.Var | tirx.IntImm | tirx.FloatImm):
        return use(value)
    variable = tirx.Var("t", dtype_of(value))
    return tirx.Let(variable, value, use(variable))


def select(condition: Expr, yes: Expr, no: Expr) -> Expr:
    """`yes` or `no`; both may be computed."""
    return tirx.Select(condition, yes, no)


def is_nan(value: Expr) -> Expr:
    return tirx.isnan(value) if is_float(dtype_of(value)) else const(False, "bool")


def logical_not(value: Expr) -> Expr:
    """Not a negated comparison, which TVM would turn into its opposite: that is wrong for NaN."""
    return select(value, const(False, "bool"), const(True, "bool"))


def maximum(a: Expr, b: Expr) -> Expr:
    """The larger; NaN if either is, as in numpy."""
    if not is_float(dtype_of(a)):
        return tirx.max(a, b)
    return select(tirx.Or(a > b, is_nan(a)), a, b)


def minimum(a: Expr, b: Expr) -> Expr:
    """The smaller; NaN if either is, as in numpy."""
    if not is_float(dtype_of(a)):
        return tirx.min(a, b)
    return select(tirx.Or(a < b, is_nan(a)), a, b)


def at_least(value: Expr, bound: Expr) -> Expr:
    """max(value, bound) for a bound that is not NaN: one comparison, and a NaN value stays."""
    return select(value < bound, bound, value)


def at_most(value: Expr, bound: Expr) -> Expr:
    """min(value, bound) for a bound that is not NaN: one comparison, and a NaN value stays."""
    return select(value > bound, bound, value)


def absolute(value: Expr) -> Expr:
    """|value|; for floats the sign bit is cleared, so that -0.0 becomes 0.0."""
    dtype = dtype_of(value)
    if not is_float(dtype):
        return value if dtype.startswith("uint") else tirx.max(value, -value)
    bits = dtype.removeprefix("float")
    mask = const((1 << (int(bits) - 1)) - 1, f"int{bits}")
    return tirx.reinterpret(dtype, tirx.bitwise_and(tirx.reinterpret(f"int{bits}", value), mask))


def polynomial(coefficients: Sequence[float], x: Expr) -> Expr:
    """Horner's rule; coefficients from the constant term upwards. `x` should be cheap (see `let`)."""
    dtype = dtype_of(x)
    result = const(coefficients[-1], dtype)
    for coefficient in reversed(coefficients[:-1]):
        result = result * x + const(coefficient, dtype)
    return result


def _through_float32(function: Callable[..., Expr]) -> Callable[..., Expr]:
    """`function`, with float16 arguments computed in float32."""

    def call(*arguments: Expr) -> Expr:
        dtype = dtype_of(arguments[0])
        if dtype == "float16":
            return cast(function(*(cast(a, "float32") for a in arguments)), dtype)
        return function(*arguments)

    return call


def libm(name: str) -> Callable[..., Expr]:
    """The function that C's <math.h> calls `name` (for double; the one for float has an f at the end)."""

    def call(*arguments: Expr) -> Expr:
        dtype = dtype_of(arguments[0])
        return tirx.call_pure_extern(dtype, name if dtype == "float64" else f"{name}f", *arguments)

    return _through_float32(call)


# These are single instructions on many devices.
sqrt = _through_float32(tirx.sqrt)
floor = _through_float32(tirx.floor)
ceil = _through_float32(tirx.ceil)
round_half_even = _through_float32(tirx.nearbyint)
power = _through_float32(tirx.power)
log = libm("log")
log1p = libm("log1p")
fmod = libm("fmod")


def _float32(function: Callable[[Expr], Expr], fallback: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    """`function` for float32 and, through it, float16; `fallback` for float64."""

    def call(x: Expr) -> Expr:
        dtype = dtype_of(x)
        if dtype == "float64":
            return fallback(x)
        return cast(let(cast(x, "float32"), function), dtype)

    return call


def _reduce_exponent(x: Expr, use: Callable[[Expr, Expr], Expr]) -> Expr:
    """use(n, r) for x = n ln 2 + r with integer n and |r| <= ln 2 / 2 (about); |x| must be below 2^22."""
    scaled = x * const(math.log2(math.e), "float32")
    half = select(x < const(0.0, "float32"), const(-0.5, "float32"), const(0.5, "float32"))

    def with_n(n: Expr) -> Expr:
        whole = cast(n, "float32")
        high = x - whole * const(_LN2_HIGH, "float32")
        return let(high - whole * const(_LN2_LOW, "float32"), lambda r: use(n, r))

    return let(cast(scaled + half, "int32"), with_n)


def _power_of_two(n: Expr) -> Expr:
    """2^n in float32 for -127 < n < 128."""
    return tirx.reinterpret("float32", tirx.shift_left(n + const(127, "int32"), const(23, "int32")))


def _clamped(x: Expr, limit: float) -> Expr:
    return at_most(at_least(x, const(-limit, "float32")), const(limit, "float32"))


def _exp(x: Expr) -> Expr:
    def scaled(n: Expr, r: Expr) -> Expr:
        # Two factors, so that subnormal results and the overflow to infinity come out by themselves.
        half = tirx.shift_right(n, const(1, "int32"))
        value = polynomial(_EXP, r) * r * r + r + const(1.0, "float32")
        return let(half, lambda h: value * _power_of_two(h) * _power_of_two(n - h))

    bounded = at_most(at_least(x, const(-104.0, "float32")), const(89.0, "float32"))
    return let(bounded, lambda y: _reduce_exponent(y, scaled))


def _tanh(x: Expr) -> Expr:
    """expm1(2x) / (expm1(2x) + 2), with an expm1 that does not cancel near 0; |x| > 9 gives +-1."""

    def expm1(n: Expr, r: Expr) -> Expr:
        small = polynomial(_EXP, r) * r * r + r
        return let(_power_of_two(n), lambda s: s * small + (s - const(1.0, "float32")))

    minus_one = let(_clamped(x + x, 18.5), lambda y: _reduce_exponent(y, expm1))
    return let(minus_one, lambda e: e / (e + const(2.0, "float32")))


def _erf(x: Expr) -> Expr:
    def ratio(y: Expr) -> Expr:
        return let(y * y, lambda z: y * polynomial(_ERF_P, z) / polynomial(_ERF_Q, z))

    return let(let(_clamped(x, _ERF_LIMIT), ratio), lambda e: _clamped(e, 1.0))


exp = _float32(_exp, tirx.exp)
exp.__doc__ = "e^x; relative error below 2e-7 in float32, subnormal results and infinity included."
tanh = _float32(_tanh, libm("tanh"))
tanh.__doc__ = "Hyperbolic tangent; relative error below 5e-7 in float32."
erf = _float32(_erf, tirx.erf)
erf.__doc__ = "The error function; relative error below 6e-7 in float32."


def sigmoid(x: Expr) -> Expr:
    """1 / (1 + e^-x); relative error below 4e-7 in float32."""
    dtype = dtype_of(x)
    one = const(1.0, "float32" if dtype == "float16" else dtype)
    return cast(one / (one + exp(-cast(x, dtype_of(one)))), dtype)


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


def truncated(value: Expr, dtype: str) -> Expr:
    """A float as integer `dtype`: rounded towards zero, out of range to the nearest, NaN to 0."""
    source, limits = dtype_of(value), np.iinfo(dtype)
    if source == "float16":
        return truncated(cast(value, "float32"), dtype)
    low, high = _representable(source, int(limits.min), 1), _representable(source, int(limits.max), -1)

    def convert(x: Expr) -> Expr:
        inside = at_most(at_least(x, const(low, source)), const(high, source))
        whole = cast(select(is_nan(x), const(0.0, source), inside), dtype)
        if int(high) == limits.max:
            return whole
        return select(x > const(high, source), const(int(limits.max), dtype), whole)

    return let(value, convert)


def _representable(dtype: str, limit: int, step: int) -> float:
    """The float of type `dtype` nearest to an integer `limit`, not beyond it in the direction of -`step`."""
    kind = np.dtype(dtype).type
    value = kind(limit)
    if (int(value) - limit) * step < 0:
        value = np.nextafter(value, kind(step * np.inf))
    return float(value)
