"""Element by element operators of domain edgecompile.integer, and Softmax."""

from __future__ import annotations

from tvm import te, tirx

from edgecompile.core.integer import DOMAIN, SOFTMAX_BITS, SOFTMAX_FINE_BITS, TABLE_BITS
from edgecompile.kernels import compute_integer_softmax
from edgecompile.kernels.compute import element_type
from edgecompile.kernels.compute_integer import centered, scaled_sum
from edgecompile.kernels.cortex_m.calls import INSTRUCTION_SETS
from edgecompile.kernels.math import Expr, cast, const
from edgecompile.lower.called import called_add
from edgecompile.lower.pointwise import pointwise
from edgecompile.lower.registry import Kind, NodeView, Tensor, op
from edgecompile.lower.requantization import constants

# `Table` is indexed from the least value of the element type.
_FIRST = {"int8": -128, "uint8": 0, "int16": -32768}


@op("Add", "Sub", kind=Kind.ELEMENTWISE, static=(2, 3), domain=DOMAIN, called=INSTRUCTION_SETS)
def add(n: NodeView) -> Tensor:
    """Both operands on a common scale; factors for a, for b, and for the sum."""
    call = called_add(n)
    if call is not None:
        return call
    result, subtract = constants(n, 2), n.node.op_type == "Sub"
    zeros = n.attr("a_zero"), n.attr("b_zero")

    def element(a: Expr, b: Expr) -> Expr:
        return result.at(scaled_sum((a, b), zeros, subtract, result), 2)

    return pointwise(n, element, n.input(0), n.input(1))


@op("Mul", kind=Kind.ELEMENTWISE, static=(2, 3), domain=DOMAIN)
def mul(n: NodeView) -> Tensor:
    """(a - a_zero) (b - b_zero), requantized."""
    result, a_zero, b_zero = constants(n, 2), n.attr("a_zero"), n.attr("b_zero")
    return pointwise(
        n, lambda a, b: result.at(centered(a, a_zero) * centered(b, b_zero)), n.input(0), n.input(1)
    )


@op("Requantize", kind=Kind.ELEMENTWISE, static=(1, 2), domain=DOMAIN)
def requantize(n: NodeView) -> Tensor:
    """The same number on another scale."""
    result, zero = constants(n, 1), n.attr("x_zero")
    return pointwise(n, lambda x: result.at(centered(x, zero)), n.input(0))


@op("Table", kind=Kind.ELEMENTWISE, domain=DOMAIN)
def table(n: NodeView) -> Tensor:
    """One of 256 integers for each of the 256 that an element may be; of 16 bits, between two of 513."""
    data, entries, dtype = n.input(0), n.input(1), n.outputs[0].dtype
    first = _FIRST[element_type(data)]

    def interpolated(place: Expr) -> Expr:
        at, within = tirx.shift_right(place, bits), tirx.bitwise_and(place, const(127, "int32"))
        low, high = (cast(entries(at + i), "int32") for i in (0, 1))
        moved = tirx.shift_right((high - low) * within + const(64, "int32"), bits)
        return cast(low + moved, dtype)

    bits = const(TABLE_BITS, "int32")
    look_up = interpolated if element_type(data) == "int16" else entries
    # Not `pointwise`: what an index depends on cannot be bound by a `let` around it.
    return te.compute(n.outputs[0].shape, lambda *i: look_up(centered(data(*i), first)), name="table")


@op("Softmax", kind=Kind.OPAQUE, static=(2, 3), domain=DOMAIN)
def softmax(n: NodeView) -> Tensor:
    """Softmax along one axis, in fixed-point arithmetic."""
    axis = int(n.attr("axis")) % len(n.outputs[0].shape)
    rescaled = n.const(2) is not None
    fraction = SOFTMAX_FINE_BITS if rescaled else SOFTMAX_BITS
    return compute_integer_softmax.softmax(n.input(0), n.input(1), axis, constants(n, 2), rescaled, fraction)
