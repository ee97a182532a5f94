"""Functions of one number, element by element."""

from __future__ import annotations

import operator

from edgecompile.kernels import math
from edgecompile.kernels.integers import wrapping
from edgecompile.kernels.math import Expr, const, dtype_of, is_float, let, libm, select
from edgecompile.lower.pointwise import row
from edgecompile.lower.registry import Kind, op


def _negate(x: Expr) -> Expr:
    dtype = dtype_of(x)
    if is_float(dtype):
        return x * const(-1.0, dtype)  # 0 - x would turn 0.0 into 0.0 instead of -0.0
    return wrapping(operator.sub)(const(0, dtype), x)


def _sign(x: Expr) -> Expr:
    dtype = dtype_of(x)
    zero, one = const(0, dtype), const(1, dtype)
    if dtype.startswith("uint"):
        return select(x > zero, one, zero)
    minus = const(-1, dtype)
    # The value itself is left for 0 and NaN.
    return let(x, lambda v: select(v > zero, one, select(v < zero, minus, v)))


def _reciprocal(x: Expr) -> Expr:
    return const(1.0, dtype_of(x)) / x


for _name, _function in (
    ("Abs", math.absolute),
    ("Neg", _negate),
    ("Sign", _sign),
    ("Reciprocal", _reciprocal),
    ("Sqrt", math.sqrt),
    ("Floor", math.floor),
    ("Ceil", math.ceil),
    ("Round", math.round_half_even),
    ("Exp", math.exp),
    ("Log", math.log),
    ("Erf", math.erf),
    ("Sigmoid", math.sigmoid),
    ("Tanh", math.tanh),
    ("Sin", libm("sin")),
    ("Cos", libm("cos")),
    ("Tan", libm("tan")),
    ("Asin", libm("asin")),
    ("Acos", libm("acos")),
    ("Atan", libm("atan")),
    ("Sinh", libm("sinh")),
    ("Cosh", libm("cosh")),
    ("Asinh", libm("asinh")),
    ("Acosh", libm("acosh")),
    ("Atanh", libm("atanh")),
):
    op(_name, kind=Kind.ELEMENTWISE)(row(_function))
