"""Arithmetic and bits, element by element, with numpy's broadcasting."""

from __future__ import annotations

import operator
from functools import reduce

import numpy as np
from tvm import tirx

from edgecompile.kernels import math
from edgecompile.kernels.integers import divide, modulo, remainder, wrapping
from edgecompile.kernels.math import Expr, cast, const, dtype_of, is_float, let, select
from edgecompile.lower.pointwise import pointwise, row, scalar
from edgecompile.lower.registry import Kind, NodeView, Tensor, op

for _name, _function in (
    ("Add", wrapping(operator.add)),
    ("Sub", wrapping(operator.sub)),
    ("Mul", wrapping(operator.mul)),
    ("Div", divide),
    ("BitwiseAnd", tirx.bitwise_and),
    ("BitwiseOr", tirx.bitwise_or),
    ("BitwiseXor", tirx.bitwise_xor),
):
    op(_name, kind=Kind.ELEMENTWISE)(row(_function))


@op("Sum", "Max", "Min", "Mean", kind=Kind.ELEMENTWISE)
def variadic(n: NodeView) -> Tensor:
    """One result of any number of inputs, each broadcast to the output's shape."""
    combine = {"Max": math.maximum, "Min": math.minimum}.get(n.node.op_type, operator.add)
    count = len(n.inputs)

    def combined(*values: Expr) -> Expr:
        total = reduce(combine, values)
        return total / const(count, dtype_of(total)) if n.node.op_type == "Mean" else total

    return pointwise(n, combined)


@op("Mod", kind=Kind.ELEMENTWISE)
def mod(n: NodeView) -> Tensor:
    """fmod=1 has the sign of the dividend (C), fmod=0 that of the divisor (Python)."""
    return pointwise(n, remainder if n.attr("fmod", 0) else modulo)


@op("Pow", kind=Kind.ELEMENTWISE)
def power(n: NodeView) -> Tensor:
    """The result has the type of the base; whole numbers are computed in double precision and truncated."""
    exponent = n.const(1)
    if exponent is not None and exponent.size == 1 and float(exponent.item()) in (1.0, 2.0, 3.0):
        times = int(exponent.item())
        base = n.input(0)
        return pointwise(n, lambda x: let(x, lambda v: reduce(wrapping(operator.mul), [v] * times)), base)

    def general(base: Expr, exponent: Expr) -> Expr:
        dtype = dtype_of(base)
        if is_float(dtype):
            return math.power(base, cast(exponent, dtype))
        return math.truncated(math.power(cast(base, "float64"), cast(exponent, "float64")), dtype)

    return pointwise(n, general)


@op("BitShift", kind=Kind.ELEMENTWISE)
def bit_shift(n: NodeView) -> Tensor:
    """Shift by any amount: outside of [0, width) only the fill is left, which is the sign to the right."""
    left = n.attr("direction") == "LEFT"
    dtype = n.outputs[0].dtype
    bits = const(np.dtype(dtype).itemsize * 8, dtype)
    zero, one = const(0, dtype), const(1, dtype)
    shift = _shift_left if left else tirx.shift_right
    fills = not left and dtype.startswith("int")

    def shifted(value: Expr, amount: Expr) -> Expr:
        inside = tirx.And(amount >= zero, amount < bits)
        safe = shift(value, select(inside, amount, bits - one))
        return safe if fills else select(inside, safe, zero)

    return pointwise(n, lambda x, y: let(x, lambda v: let(y, lambda a: shifted(v, a))))


def _shift_left(value: Expr, amount: Expr) -> Expr:
    """As unsigned numbers, because C does not define it for negative ones."""
    dtype = dtype_of(value)
    unsigned = f"u{dtype.removeprefix('u')}"
    return cast(wrapping(tirx.shift_left)(cast(value, unsigned), cast(amount, unsigned)), dtype)


@op("BitwiseNot", kind=Kind.ELEMENTWISE)
def bitwise_not(n: NodeView) -> Tensor:
    def inverted(value: Expr) -> Expr:
        dtype = dtype_of(value)
        ones = -1 if dtype.startswith("int") else (1 << int(dtype.removeprefix("uint"))) - 1
        return tirx.bitwise_xor(value, const(ones, dtype))

    return pointwise(n, inverted)


@op("Clip", kind=Kind.ELEMENTWISE)
def clip(n: NodeView) -> Tensor:
    """min(max(x, low), high); a bound left out does not limit. Bounds were attributes before opset 11."""
    dtype = n.outputs[0].dtype
    data = n.input(0)
    low = scalar(n.input(1)) if n.has(1) else _bound(n, "min", dtype)
    high = scalar(n.input(2)) if n.has(2) else _bound(n, "max", dtype)

    def clipped(x: Expr) -> Expr:
        x = x if low is None else math.at_least(x, low)
        return x if high is None else math.at_most(x, high)

    return pointwise(n, clipped, data)


def _bound(n: NodeView, name: str, dtype: str) -> Expr | None:
    value = n.attr(name)
    return None if value is None else const(value, dtype)


@op("PRelu", kind=Kind.ELEMENTWISE)
def prelu(n: NodeView) -> Tensor:
    """slope * x where x is negative."""
    x, slope = n.input(0), n.input(1)
    if len(slope.shape) > len(x.shape):
        raise n.unsupported("the slope has more dimensions than the data")

    def sloped(value: Expr, factor: Expr) -> Expr:
        zero = const(0, dtype_of(value))
        return let(value, lambda v: select(v < zero, wrapping(operator.mul)(v, factor), v))

    return pointwise(n, sloped)


@op("Where", kind=Kind.ELEMENTWISE)
def where(n: NodeView) -> Tensor:
    return pointwise(n, select)


@op("Expand", kind=Kind.ELEMENTWISE, static=(1,))
def expand(n: NodeView) -> Tensor:
    """Broadcast to the output's shape; the requested shape may be smaller than the data's."""
    data = n.input(0)
    return pointwise(n, lambda x: x, data)
