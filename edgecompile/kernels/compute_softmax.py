"""Softmax and its logarithm along one axis: row by row, without a temporary tensor."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx

from edgecompile.kernels.compute import Tensor, accumulator, element_type, lowest_value, shape_of
from edgecompile.kernels.loops import Buffer, Row, each, local, nest
from edgecompile.kernels.math import Expr, cast, exp, log

# Element `position` of the current row.
At = Callable[[Expr], tuple[Expr, ...]]


def softmax(data: Tensor, axis: int) -> Tensor:
    """exp(x - max) / sum(exp(x - max)) along `axis`; each exponential is computed once."""
    dtype, total = element_type(data), accumulator(element_type(data))

    def emit(row: Row, source: Buffer, result: Buffer, at: At) -> None:
        highest = _row_maximum(row, source, at, total)
        sums = local(row.lanes, total)
        # Half precision is too coarse for the powers in between.
        own = total != dtype
        powers = local(row.extent, total) if own else result
        at_power: At = _alone if own else at
        row.fill(sums, tirx.const(0, total))

        def power(position: Expr, lane: Expr) -> None:
            powers[at_power(position)] = exp(cast(source[at(position)], total) - highest)
            sums[lane] = sums[lane] + powers[at_power(position)]

        row.each(power)
        scale = local(1, total)
        scale[0] = tirx.const(1, total) / row.finish(sums, lambda a, b: a + b)

        def normalize(position: Expr, _: Expr) -> None:
            result[at(position)] = cast(powers[at_power(position)] * scale[0], dtype)

        row.each(normalize)

    return _each_row("softmax", data, axis, emit)


def log_softmax(data: Tensor, axis: int) -> Tensor:
    """x - max - log(sum(exp(x - max))) along `axis`."""
    dtype, total = element_type(data), accumulator(element_type(data))

    def emit(row: Row, source: Buffer, result: Buffer, at: At) -> None:
        highest = _row_maximum(row, source, at, total)
        sums = local(row.lanes, total)

        def power(position: Expr) -> Expr:
            return exp(cast(source[at(position)], total) - highest)

        summed = row.reduce(sums, tirx.const(0, total), lambda a, b: a + b, power)
        offset = local(1, total)
        offset[0] = highest + log(summed)

        def shift(position: Expr, _: Expr) -> None:
            result[at(position)] = cast(cast(source[at(position)], total) - offset[0], dtype)

        row.each(shift)

    return _each_row("log_softmax", data, axis, emit)


def _alone(position: Expr) -> tuple[Expr, ...]:
    return (position,)


def _row_maximum(row: Row, source: Buffer, at: At, total: str) -> Expr:
    partial = local(row.lanes, total)
    return row.reduce(partial, lowest_value(total), tirx.max, lambda i: cast(source[at(i)], total))


def _each_row(name: str, data: Tensor, axis: int, emit: Callable[[Row, Buffer, Buffer, At], None]) -> Tensor:
    """A tensor like `data`, computed row by row along `axis` by the statements of `emit`."""
    shape = shape_of(data)
    row = Row(shape[axis], axis == len(shape) - 1)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        with each(shape[:axis] + shape[axis + 1 :]) as index:
            emit(row, reads[0], writes[0], lambda position: (*index[:axis], position, *index[axis:]))

    return nest(name, [data], [(shape, element_type(data))], body)[0]
