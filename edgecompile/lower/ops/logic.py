"""Comparisons and truth values, element by element, with numpy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from edgecompile.kernels import math
from edgecompile.kernels.math import Expr, cast, const, dtype_of, select
from edgecompile.lower.pointwise import pointwise, row
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


def _as_numbers(compare: Callable[[Expr, Expr], Expr]) -> Callable[[Expr, Expr], Expr]:
    """`compare` with truth values as 0 and 1, because TVM compares bools as if they were floats."""

    def call(a: Expr, b: Expr) -> Expr:
        if dtype_of(a) == "bool":
            a, b = cast(a, "int32"), cast(b, "int32")
        return compare(a, b)

    return call


for _name, _function in (
    ("Equal", _as_numbers(tirx.EQ)),
    ("Less", tirx.LT),
    ("LessOrEqual", tirx.LE),
    ("Greater", tirx.GT),
    ("GreaterOrEqual", tirx.GE),
    ("And", tirx.And),
    ("Or", tirx.Or),
    ("Xor", _as_numbers(tirx.NE)),
    ("Not", math.logical_not),
    ("IsNaN", math.is_nan),
):
    op(_name, kind=Kind.ELEMENTWISE)(row(_function))


@op("IsInf", kind=Kind.ELEMENTWISE)
def is_inf(n: NodeView) -> Tensor:
    """Attributes choose which of the two infinities count."""
    signs = [s for s, name in ((1, "detect_positive"), (-1, "detect_negative")) if n.attr(name, 1)]

    def found(x: Expr) -> Expr:
        result = const(False, "bool")
        for sign in signs:
            result = tirx.Or(result, tirx.EQ(x, const(sign * float("inf"), dtype_of(x))))
        return result

    return pointwise(n, found)


@op("Binarizer", kind=Kind.ELEMENTWISE, domain="ai.onnx.ml")
def binarizer(n: NodeView) -> Tensor:
    """1 above the threshold, else 0."""
    threshold = n.attr("threshold", 0.0)

    def above(x: Expr) -> Expr:
        dtype = dtype_of(x)
        return select(x > const(threshold, dtype), const(1, dtype), const(0, dtype))

    return pointwise(n, above)
