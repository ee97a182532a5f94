"""Scalar mathematics on TVM expressions, for every element type and both code generators.

float32 exp, log, tanh, sigmoid and erf are polynomials in plain arithmetic: they become vector instructions,
need no libm, and give the same result on every device up to fused multiply-adds. Everything else is a libm
call. float16 is computed in float32. The polynomials are our own minimax fits (Lawson's iteration on a dense
grid); the bounds in the docstrings are checked by the tests.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tvm
from tvm import tirx

Expr = Any  # a scalar expression of TVM; its classes are untyped

# Round-to-nearest split of ln 2 (Cody and Waite): n * _LN2_HIGH is exact for |n| < 2^9.
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.12194440e-4
# What rounds a small float32 to an integer when it is added: 1.5 * 2^23.
_ROUNDER = 12582912.0
# The lowest x with a normal e^x, about.
_LEAST_EXPONENT = -87.33
# (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2.
_EXP = (0.49999994, 0.16666515, 0.041668456, 0.008369419, 0.0013813144)
# (atanh(s) / s - 1) / s^2 as a polynomial in s^2, for |s| <= 1/3.
_ATANH = (0.33333206, 0.2001085, 0.1399957, 0.14012234)
_SQRT_HALF_BITS = 0x3F3504F3
_SMALLEST_NORMAL = 2.0**-126
# erf(x) / x = P(x^2) / Q(x^2) for |x| <= 3.95, beyond which erf is 1 in float32.
_ERF_LIMIT = 3.95
_ERF_P = (1.1283791, 0.1915511, 0.052875504, 0.0038081843, 0.0002846863, 2.0258757e-06)
_ERF_Q = (1.0, 0.5030904, 0.11455991, 0.015055135, 0.0011707278, 3.7831395e-05)


# TVM computes them lane by lane otherwise.
for _name in ("tirx.nearbyint", "tirx.isnan"):
    tvm.ir.register_op_attr(_name, "TVectorizable", True)


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
    return let(value, lambda v: select(v < bound, bound, v))


def at_most(value: Expr, bound: Expr) -> Expr:
    """min(value, bound) for a bound that is not NaN: one comparison, and a NaN value stays."""
    return let(value, lambda v: select(v > bound, bound, v))


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
    """use(bits, r) for x = n ln 2 + r with the nearest integer n; |x| must be below 2^21.

    Adding 1.5 * 2^23 leaves no bits for a fraction, so that the sum is rounded to an integer: the low nine
    bits of `bits` are those of n, in two's complement.
    """

    def with_sum(total: Expr) -> Expr:
        bits, n = tirx.reinterpret("int32", total), total - const(_ROUNDER, "float32")

        def rest(whole: Expr) -> Expr:
            high = x - whole * const(_LN2_HIGH, "float32")
            return let(high - whole * const(_LN2_LOW, "float32"), lambda r: use(bits, r))

        return let(n, rest)

    return let(x * const(math.log2(math.e), "float32") + const(_ROUNDER, "float32"), with_sum)


def _power_of_two(bits: Expr) -> Expr:
    """2^n in float32, where the low nine bits are those of n and -127 <= n <= 127 (0 for -127)."""
    return tirx.reinterpret("float32", tirx.shift_left(bits + const(127, "int32"), const(23, "int32")))


def _exp_of_rest(r: Expr) -> Expr:
    """e^r for |r| <= ln 2 / 2."""
    return polynomial((1.0, 1.0, *_EXP), r)


def _clamped(x: Expr, limit: float) -> Expr:
    return at_most(at_least(x, const(-limit, "float32")), const(limit, "float32"))


def _exp(x: Expr) -> Expr:
    def scaled(bits: Expr, r: Expr) -> Expr:
        # Two factors, so that subnormal results and the overflow to infinity come out by themselves.
        half = tirx.shift_right(bits, const(1, "int32"))
        return let(half, lambda h: _exp_of_rest(r) * _power_of_two(h) * _power_of_two(bits - h))

    bounded = at_most(at_least(x, const(-104.0, "float32")), const(89.0, "float32"))
    return let(bounded, lambda y: _reduce_exponent(y, scaled))


def _exp_normal(x: Expr) -> Expr:
    """e^x for |x| <= 87.3."""
    return _reduce_exponent(x, lambda bits, r: _exp_of_rest(r) * _power_of_two(bits))


def _exp_negative(x: Expr) -> Expr:
    def flushed(value: Expr) -> Expr:
        least = const(_LEAST_EXPONENT, "float32")
        power = let(at_least(value, least), _exp_normal)
        return let(power, lambda p: select(value < least, const(0.0, "float32"), p))

    return let(x, flushed)


def _sigmoid(x: Expr) -> Expr:
    power = let(_clamped(-x, -_LEAST_EXPONENT), _exp_normal)
    return const(1.0, "float32") / (const(1.0, "float32") + power)


def _tanh(x: Expr) -> Expr:
    """expm1(2x) / (expm1(2x) + 2), with an expm1 that does not cancel near 0; |x| > 9 gives +-1."""

    def expm1(bits: Expr, r: Expr) -> Expr:
        small = polynomial(_EXP, r) * r * r + r
        return let(_power_of_two(bits), lambda s: s * small + (s - const(1.0, "float32")))

    minus_one = let(_clamped(x + x, 18.5), lambda y: _reduce_exponent(y, expm1))
    return let(minus_one, lambda e: e / (e + const(2.0, "float32")))


def _erf(x: Expr) -> Expr:
    def ratio(y: Expr) -> Expr:
        return let(y * y, lambda z: y * polynomial(_ERF_P, z) / polynomial(_ERF_Q, z))

    return let(let(_clamped(x, _ERF_LIMIT), ratio), lambda e: _clamped(e, 1.0))


def _log_of_ratio(s: Expr) -> Expr:
    """log((1 + s) / (1 - s)) = 2 atanh(s) for |s| <= 1/3."""
    return let(s, lambda v: let(v * v, lambda z: (v + v) + (v + v) * (z * polynomial(_ATANH, z))))


def _log(x: Expr) -> Expr:
    """n ln 2 + log(m) with m between sqrt(1/2) and sqrt(2); n and m come from the bits of the number."""
    zero, infinity = const(0.0, "float32"), const(math.inf, "float32")

    def finite(bits: Expr) -> Expr:
        n = tirx.shift_right(bits - const(_SQRT_HALF_BITS, "int32"), const(23, "int32"))
        return let(n, lambda n: with_exponent(n, bits - n * const(1 << 23, "int32")))

    def with_exponent(n: Expr, mantissa: Expr) -> Expr:
        m = tirx.reinterpret("float32", mantissa)
        log_m = let(m - const(1.0, "float32"), lambda f: _log_of_ratio(f / (f + const(2.0, "float32"))))
        whole = cast(n, "float32") - select(subnormal, const(23.0, "float32"), zero)
        high, low = const(_LN2_HIGH, "float32"), const(_LN2_LOW, "float32")
        return let(whole, lambda w: w * high + (w * low + log_m))

    subnormal = x < const(_SMALLEST_NORMAL, "float32")
    scaled = select(subnormal, x * const(2.0**23, "float32"), x)
    result = let(tirx.reinterpret("int32", scaled), finite)
    special = select(tirx.EQ(x, zero), -infinity, const(math.nan, "float32"))
    return select(x > zero, select(x < infinity, result, infinity), special)


exp = _float32(_exp, tirx.exp)
exp.__doc__ = "e^x; relative error below 2e-7 in float32, subnormal results and infinity included."
exp_negative = _float32(_exp_negative, tirx.exp)
exp_negative.__doc__ = "e^x for x <= 0; as `exp`, but 0 in float32 where e^x is subnormal, and cheaper."
log = _float32(_log, libm("log"))
log.__doc__ = "Natural logarithm; relative error below 3e-7 in float32, all special values included."
tanh = _float32(_tanh, libm("tanh"))
tanh.__doc__ = "Hyperbolic tangent; relative error below 5e-7 in float32."
erf = _float32(_erf, tirx.erf)
erf.__doc__ = "The error function; relative error below 6e-7 in float32."


def _log1p_unit(u: Expr) -> Expr:
    return _log_of_ratio(u / (u + const(2.0, "float32")))


log1p_unit = _float32(_log1p_unit, libm("log1p"))
log1p_unit.__doc__ = "log(1 + u) for 0 <= u <= 1; relative error below 3e-7 in float32."


def _sigmoid_by_exp(x: Expr) -> Expr:
    one = const(1.0, dtype_of(x))
    return one / (one + exp(-x))


sigmoid = _float32(_sigmoid, _sigmoid_by_exp)
sigmoid.__doc__ = (
    "1 / (1 + e^-x); relative error below 4e-7 in float32 for x > -87.3, below that no less than 1e-38."
)


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
