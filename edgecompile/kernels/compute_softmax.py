"""Softmax and its logarithm along one axis: row by row, without a temporary tensor.

Along the innermost axis, neighbours of a row are computed together; along another one, neighbouring rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tvm import tirx

from edgecompile.kernels.compute import Tensor, accumulator, element_type, lowest_value, shape_of
from edgecompile.kernels.loops import Buffer, Column, Row, RowLoops, flat_view, local, nest
from edgecompile.kernels.math import Expr, cast, const, exp_negative, log


@dataclass(frozen=True)
class _Rows:
    """One row, or `row.lanes` of them: elements, read as `total`, are at start + position * stride."""

    row: Row
    source: Buffer
    result: Buffer
    start: Expr
    stride: int
    total: str

    def at(self, position: Expr, lane: Expr) -> Expr:
        """The place of an element; a position along a row in vectors has its lane already."""
        across = lane if isinstance(self.row, Column) else 0
        return self.start + position * self.stride + across

    def read(self, position: Expr, lane: Expr) -> Expr:
        return cast(self.source[self.at(position, lane)], self.total)

    def write(self, position: Expr, lane: Expr, value: Expr) -> None:
        self.result[self.at(position, lane)] = cast(value, str(self.result.dtype))

    def reduce(
        self, start: Expr, combine: Callable[[Expr, Expr], Expr], element: Callable[[Expr, Expr], Expr]
    ) -> Buffer:
        """element(position, lane) combined over each row; read the results by `row.pick`."""
        partial = local(self.row.lanes, self.total)
        self.row.fill(partial, start)

        def step(position: Expr, lane: Expr) -> None:
            partial[lane] = combine(partial[lane], element(position, lane))

        self.row.each(step)
        self.row.finish(partial, combine)
        return partial


def softmax(data: Tensor, axis: int, loops: RowLoops) -> Tensor:
    """exp(x - max) / sum(exp(x - max)) along `axis`; each exponential is computed once."""

    def emit(rows: _Rows) -> None:
        row, total = rows.row, rows.total
        highest = rows.reduce(lowest_value(total), tirx.max, rows.read)
        # Half precision is too coarse for the powers in between.
        own = local(row.extent * row.lanes, total) if total != str(rows.result.dtype) else None

        def place(position: Expr, lane: Expr) -> tuple[Buffer, Expr]:
            if own is None:
                return rows.result, rows.at(position, lane)
            return own, position * row.lanes + lane if isinstance(row, Column) else position

        def power(position: Expr, lane: Expr) -> Expr:
            buffer, at = place(position, lane)
            buffer[at] = exp_negative(rows.read(position, lane) - row.pick(highest, lane))
            return buffer[at]

        scale = rows.reduce(const(0, total), lambda a, b: a + b, power)
        row.each_result(lambda lane: _assign(scale, lane, const(1, total) / scale[lane]))

        def normalize(position: Expr, lane: Expr) -> None:
            buffer, at = place(position, lane)
            rows.write(position, lane, buffer[at] * row.pick(scale, lane))

        row.each(normalize)

    return _each_row("softmax", data, axis, loops, emit)


def log_softmax(data: Tensor, axis: int, loops: RowLoops) -> Tensor:
    """x - max - log(sum(exp(x - max))) along `axis`."""

    def emit(rows: _Rows) -> None:
        row, total = rows.row, rows.total
        highest = rows.reduce(lowest_value(total), tirx.max, rows.read)

        def power(position: Expr, lane: Expr) -> Expr:
            return exp_negative(rows.read(position, lane) - row.pick(highest, lane))

        offset = rows.reduce(const(0, total), lambda a, b: a + b, power)
        row.each_result(lambda lane: _assign(offset, lane, highest[lane] + log(offset[lane])))
        row.each(lambda p, lane: rows.write(p, lane, rows.read(p, lane) - row.pick(offset, lane)))

    return _each_row("log_softmax", data, axis, loops, emit)


def _assign(buffer: Buffer, at: Expr, value: Expr) -> None:
    buffer[at] = value


def _each_row(name: str, data: Tensor, axis: int, loops: RowLoops, emit: Callable[[_Rows], None]) -> Tensor:
    """A tensor like `data`, computed by the statements of `emit` for all rows along `axis`."""
    shape = shape_of(data)
    outer, extent, inner = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, result = flat_view(reads[0]), flat_view(writes[0])
        total = accumulator(element_type(data))

        def line(row: Row, start: Expr) -> None:
            emit(_Rows(row, source, result, start, inner, total))

        loops.each_line(outer, extent, inner, line)

    return nest(name, [data], [(shape, element_type(data))], body)[0]
