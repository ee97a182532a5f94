"""Reductions over axes: sums, products, extremes and their places."""

from __future__ import annotations

import math as numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tvm import te, tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels import math
from edgecompile.kernels.compute import (
    Tensor,
    element_type,
    lowest_value,
    reduce_axes,
    shape_of,
    unflatten,
)
from edgecompile.kernels.loops import Buffer, RowLoops, local, nest
from edgecompile.kernels.math import Expr, cast, const, is_float, select


@dataclass(frozen=True)
class Reducer:
    """An associative operation and its neutral element for a type."""

    combine: Callable[[Expr, Expr], Expr]
    neutral: Callable[[str], Expr]


def highest_value(dtype: str) -> Expr:
    """The neutral element of min: plus infinity for floats."""
    return const(numbers.inf, dtype) if is_float(dtype) else const(int(np.iinfo(dtype).max), dtype)


SUM = Reducer(lambda a, b: a + b, lambda dtype: const(0, dtype))
PRODUCT = Reducer(lambda a, b: a * b, lambda dtype: const(1, dtype))
MAXIMUM = Reducer(math.maximum, lowest_value)
MINIMUM = Reducer(math.minimum, highest_value)


def reduce(
    data: Tensor,
    axes: Sequence[int],
    reducer: Reducer,
    dtype: str,
    before: Callable[[Expr], Expr] = lambda x: x,
    rows: RowLoops | None = None,
) -> Tensor:
    """`before(element)` combined over `axes`, in type `dtype`; those axes have extent 1 in the result."""
    extents = shape_of(data)
    shape = [1 if axis in axes else extent for axis, extent in enumerate(extents)]
    if any(extents[axis] == 0 for axis in axes):
        return te.compute(shape, lambda *_: reducer.neutral(dtype), name="empty")
    if not axes:
        return te.compute(shape, lambda *index: before(cast(data(*index), dtype)), name="map")
    trailing = list(axes) == list(range(len(extents) - len(axes), len(extents)))
    if trailing and isinstance(data.op, te.PlaceholderOp):  # a loop nest could not inline what makes the data
        return _reduce_rows(data, len(axes), reducer, dtype, before, rows or RowLoops())
    loops = dict(zip(axes, reduce_axes([extents[axis] for axis in axes], "r"), strict=True))
    function = te.comm_reducer(reducer.combine, reducer.neutral, name="reduce")

    def reduced(*index: Expr) -> Expr:
        place = [loops.get(axis, i) for axis, i in enumerate(index)]
        return function(before(cast(data(*place), dtype)), axis=list(loops.values()))

    return te.compute(shape, reduced, name="reduce")


def _reduce_rows(
    data: Tensor,
    count: int,
    reducer: Reducer,
    dtype: str,
    before: Callable[[Expr], Expr],
    rows: RowLoops,
) -> Tensor:
    """Reduce the last `count` axes, whose elements are neighbours in memory, in several lanes."""
    extents = shape_of(data)
    outer = extents[: len(extents) - count]
    length = numbers.prod(extents[len(outer) :])

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        with rows.each((numbers.prod(outer),), length) as ((line,), make_row):
            row = make_row(length, True)
            partial = local(row.lanes, dtype)

            def element(position: Expr) -> Expr:
                return before(cast(reads[0][line * row.extent + position], dtype))

            writes[0][line] = row.reduce(partial, reducer.neutral(dtype), reducer.combine, element)

    return nest("reduce_rows", [data], [((*outer, *(1,) * count), dtype)], body)[0]


def find_extreme(data: Tensor, axis: int, lowest: bool, last: bool, rows: RowLoops | None = None) -> Tensor:
    """The place (int64) of the largest or lowest element along `axis`, which gets extent 1.

    Of equal ones the first or last counts. NaN is more extreme than any number, as in numpy. `rows` go along
    the last axis, which must be this one then; without, each is gone through by one thread.
    """
    extents, dtype = shape_of(data), element_type(data)
    shape = [*extents[:axis], 1, *extents[axis + 1 :]]

    def beats(value: Expr, best: Expr, last: bool = last) -> Expr:
        if last:
            ordered = value <= best if lowest else value >= best
            return tirx.Or(ordered, math.is_nan(value))
        ordered = value < best if lowest else value > best
        return select(math.is_nan(best), const(False, "bool"), tirx.Or(ordered, math.is_nan(value)))

    def in_rows(reads: list[Buffer], writes: list[Buffer], rows: RowLoops) -> None:
        """First what is most extreme, then where that is."""
        with rows.each(extents[:axis], extents[axis]) as (index, make_row):
            row = make_row(extents[axis], True)
            values, places = local(row.lanes, dtype), local(row.lanes, "int32")
            source = reads[0]
            best = row.reduce(
                values,
                source[(*index, 0)],
                lambda a, b: select(beats(b, a, last=False), b, a),
                lambda k: source[(*index, k)],
            )

            def place(k: Expr) -> Expr:
                value = source[(*index, k)]
                found = tirx.Or(tirx.EQ(value, best), tirx.And(math.is_nan(value), math.is_nan(best)))
                return select(found, k, nowhere)

            nowhere = const(-1 if last else extents[axis], "int32")
            combine = tirx.max if last else tirx.min
            writes[0][(*index, 0)] = cast(row.reduce(places, nowhere, combine, place), "int64")

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        if rows is not None:
            in_rows(reads, writes, rows)
            return
        source, result = reads[0], writes[0]
        with T.parallel(0, numbers.prod(shape)) as number:
            index, best = unflatten(number, shape), local(1, dtype)
            result[index] = const(0, "int64")
            best[0] = source[index]
            with T.serial(1, extents[axis]) as k:
                value = source[(*index[:axis], k, *index[axis + 1 :])]
                with T.If(beats(value, best[0])), T.Then():
                    best[0] = value
                    result[index] = cast(k, "int64")

    return nest("find_extreme", [data], [(shape, "int64")], body)[0]
