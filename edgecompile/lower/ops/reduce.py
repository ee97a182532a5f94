"""Reductions. Each is a function of the elements, an associative operation, and a function of the result."""

from __future__ import annotations

import math as numbers
from collections.abc import Callable
from dataclasses import dataclass

from tvm import te, tirx, topi

from edgecompile.kernels import math
from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.compute_reduce import (
    MAXIMUM,
    MINIMUM,
    PRODUCT,
    SUM,
    Reducer,
    find_extreme,
    reduce,
)
from edgecompile.kernels.integers import divide
from edgecompile.kernels.loops import RowLoops
from edgecompile.kernels.math import Expr, cast, const, is_float, let, select
from edgecompile.lower.planned import row_loops
from edgecompile.lower.pointwise import normalized_axis
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@dataclass(frozen=True)
class _Formula:
    """after(combination of before(x), number of elements); whole numbers go through double if `real`."""

    reducer: Reducer
    before: Callable[[Expr], Expr] = lambda x: x
    after: Callable[[Expr, int], Expr] = lambda total, count: total
    real: bool = False


def _square(x: Expr) -> Expr:
    return let(x, lambda v: v * v)


def _mean(total: Expr, count: int) -> Expr:
    return divide(total, const(count, math.dtype_of(total)))


_FORMULAS = {
    "ReduceSum": _Formula(SUM),
    "ReduceProd": _Formula(PRODUCT),
    "ReduceMax": _Formula(MAXIMUM),
    "ReduceMin": _Formula(MINIMUM),
    "ReduceMean": _Formula(SUM, after=_mean),
    "ReduceL1": _Formula(SUM, before=math.absolute),
    "ReduceL2": _Formula(SUM, before=_square, after=lambda total, _: math.sqrt(total), real=True),
    "ReduceSumSquare": _Formula(SUM, before=_square),
    "ReduceLogSum": _Formula(SUM, after=lambda total, _: math.log(total), real=True),
}


@op(*_FORMULAS, kind=Kind.REDUCTION, static=(1,))
def reduction(n: NodeView) -> Tensor:
    formula, data, info = _FORMULAS[n.node.op_type], n.input(0), n.outputs[0]
    axes = _axes(n)
    count = numbers.prod(shape_of(data)[axis] for axis in axes)
    dtype = _accumulator(info.dtype, formula.real)
    total = reduce(data, axes, formula.reducer, dtype, formula.before, _rows(n))
    return _finish(n, total, lambda value: formula.after(value, count))


@op("ReduceLogSumExp", kind=Kind.ANCHOR, static=(1,))
def reduce_log_sum_exp(n: NodeView) -> Tensor:
    """max + log(sum(exp(x - max))): no overflow. An infinite maximum is not subtracted."""
    data, axes = n.input(0), _axes(n)
    dtype = _accumulator(n.outputs[0].dtype, real=True)
    highest = reduce(data, axes, MAXIMUM, dtype, rows=_rows(n))

    def finite(value: Expr) -> Expr:
        infinite = tirx.EQ(math.absolute(value), const(numbers.inf, dtype))
        return select(infinite, const(0, dtype), value)

    offset = te.compute(highest.shape, lambda *i: let(highest(*i), finite), name="offset")
    powers = te.compute(
        data.shape,
        lambda *i: math.exp(
            cast(data(*i), dtype) - offset(*(0 if axis in axes else at for axis, at in enumerate(i)))
        ),
        name="powers",
    )
    total = reduce(powers, axes, SUM, dtype)
    summed = te.compute(total.shape, lambda *i: offset(*i) + math.log(total(*i)), name="log_sum_exp")
    return _finish(n, summed, lambda value: value)


@op("ArgMax", "ArgMin", kind=Kind.OPAQUE)
def arg_extreme(n: NodeView) -> Tensor:
    """The index of the largest (lowest) element along one axis."""
    data = n.input(0)
    axis = normalized_axis(n, n.attr("axis", 0), len(data.shape))
    if not data.shape or shape_of(data)[axis] == 0:
        raise n.unsupported("there is nothing to choose from along the axis")
    last = bool(n.attr("select_last_index", 0))
    rows = row_loops(n) if n.isa.multiprocessors and axis == len(data.shape) - 1 else None
    found = find_extreme(data, axis, n.node.op_type == "ArgMin", last, rows)
    return topi.reshape(found, n.outputs[0].shape)


def _rows(n: NodeView) -> RowLoops:
    return row_loops(n) if n.isa.multiprocessors else RowLoops()


def _axes(n: NodeView) -> list[int]:
    """The reduced axes: an input, an attribute before opset 18 (ReduceSum: 13), all by default."""
    rank = len(n.input(0).shape)
    is_input = len(n.node.inputs) > 1 and n.node.inputs[1] is not None
    given = n.require_const(1) if is_input else n.attr("axes")
    axes = [] if given is None else [int(axis) for axis in given]
    if not axes and not n.attr("noop_with_empty_axes", 0):
        return list(range(rank))
    return sorted({normalized_axis(n, axis, rank) for axis in axes})


def _accumulator(dtype: str, real: bool) -> str:
    """The type to reduce in: bool as 0 and 1, half precision in single, whole numbers in double if `real`."""
    if dtype == "bool":
        return "uint8"
    if dtype == "float16":
        return "float32"
    return "float64" if real and not is_float(dtype) else dtype


def _finish(n: NodeView, total: Tensor, after: Callable[[Expr], Expr]) -> Tensor:
    """after(total) as the output's type and shape (with the reduced axes gone unless keepdims)."""
    dtype = n.outputs[0].dtype

    def value(*index: Expr) -> Expr:
        result = after(total(*index))
        if not is_float(dtype) and is_float(math.dtype_of(result)):
            return math.truncated(result, dtype)
        return tirx.NE(result, const(0, "uint8")) if dtype == "bool" else cast(result, dtype)

    finished = te.compute(total.shape, value, name="finish")
    shape = n.outputs[0].shape
    return finished if shape_of(finished) == shape else topi.reshape(finished, shape)
