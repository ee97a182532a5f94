"""Implicit matrix product: convolutions and dense layers as register tiles over rows of the input.

for a block of rows:                          (the loop that threads share)
    copy what the block reads, unless it can be read where it is
    for a tile of columns:
        for a tile of rows:
            the micro-kernel fills `sums`
            the epilogue (bias, activation, residual, requantize) is applied and stored

The kernel's function comes as a definition: a reduction that carries a GemmPlan, and what is computed from
its result elementwise. This file replaces both by the loops above.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compact import widened
from edgecompile.kernels.compute import unflatten
from edgecompile.kernels.compute_gemm import GemmPlan, rows_of
from edgecompile.kernels.intrinsics.base import MicroKernel, Operands, Scales
from edgecompile.kernels.loops import choose, fill_run, flat_view, lane_loop, local, powers_of_two, span
from edgecompile.kernels.math import Expr
from edgecompile.kernels.schedules.definition import Definition
from edgecompile.kernels.schedules.expressions import with_loops
from edgecompile.kernels.schedules.gather import gather_row
from edgecompile.kernels.schedules.lines import InputLines

# Results are stored in vectors of at least so many bytes, whatever it takes to compute them.
_STORE_BYTES = 16


@dataclass(frozen=True)
class Rows:
    """Rows that lie in `buffer` (under one index): row r begins at `start` + r * `stride`.

    `run` and `jumps` are those of Operands. `position` is where in the result row r belongs, without channel.
    """

    buffer: Any
    start: Expr
    stride: int
    run: int
    jumps: tuple[tuple[int, int], ...]
    position: Callable[[Expr], Sequence[Expr]]


def expand_implicit_gemm(
    function: tirx.PrimFunc, definition: Definition, plan: GemmPlan, kernel: MicroKernel
) -> tirx.PrimFunc:
    """`function` with its body replaced by the loops of the plan."""
    return with_loops(function, lambda: _Emitter(definition, plan, kernel).emit())


class _Emitter:
    """Emits the loops of one product."""

    def __init__(self, definition: Definition, plan: GemmPlan, kernel: MicroKernel) -> None:
        self.definition, self.plan, self.kernel = definition, plan, kernel
        self.shape = [int(extent) for extent in definition.result.ty.shape]
        self.result = T.buffer_proxy(definition.result)
        element_bytes = int(tvm_ffi.dtype(str(definition.result.ty.dtype)).bits) // 8
        vectors = self.kernel.lanes > 1
        self.store_lanes = max(kernel.lanes, _STORE_BYTES // element_bytes) if vectors else 1
        self.weights = T.buffer_proxy(definition.weights)
        stored = str(definition.weights.ty.dtype)
        self.halves = definition.accumulator == "float32" and stored in ("float16", "int16")

    def emit(self) -> None:
        body = self._lines if self.plan.source == "lines" else self._matrix
        if self.plan.groups == 1:
            body(0)
        else:
            with T.parallel(0, self.plan.groups) as group:
                body(group)

    def _matrix(self, group: Expr) -> None:
        """All rows of the result are rows of one matrix."""
        plan, m = self.plan, rows_of(self.shape)
        with self._blocks(m) as (first, count):
            rows = self._in_memory(first) if plan.source == "memory" else self._gathered(group, first, count)
            alone = plan.block >= m and plan.source == "memory"
            self._for_columns(alone, lambda tile, columns: self._block(rows, m, first, group, tile, columns))

    def _lines(self, group: Expr) -> None:
        """Rows are the positions of one output line after the other; no tile reaches over its end."""
        plan = self.plan
        assert plan.window is not None
        lines = InputLines.of(self.definition.data, self.shape, plan.window, plan.pad, plan.groups, group)

        def columns_of(tile: Expr, columns: int) -> None:
            with T.serial(0, count) as line:
                buffer, start = place(line)
                number = (first + line) * lines.width
                position = partial(self._position, number)
                rows = Rows(buffer, start, lines.row_stride, lines.run, lines.jumps, position)
                self._line(rows, lines.width, group, tile, columns)

        with self._blocks(rows_of(self.shape) // lines.width) as (first, count):
            place = lines.copy(first, count, plan.block) if lines.padded else lines.in_place(first)
            self._for_columns(False, columns_of)

    @contextmanager
    def _blocks(self, extent: int) -> Iterator[tuple[Expr, Expr]]:
        """The loop over blocks: (first row or line, how many); the last block may be smaller."""
        size = self.plan.block
        if extent <= size:
            yield 0, extent
            return
        with T.parallel(0, -(-extent // size)) as block:
            first = block * size
            yield first, size if extent % size == 0 else tirx.min(size, extent - first)

    def _for_columns(self, alone: bool, body: Callable[[Expr, int], None]) -> None:
        """body(tile, columns) for all tiles of columns; threads may share them where they are `alone`."""
        plan = self.plan
        equal = plan.tiles if plan.n % plan.columns == 0 else plan.tiles - 1
        if alone and plan.tiles > 1:
            with T.parallel(0, plan.tiles) as tile:
                choose(
                    [tile < equal] if equal < plan.tiles else [],
                    lambda: body(tile, plan.columns),
                    lambda: body(plan.tiles - 1, plan.last_columns),
                )
            return
        if equal:
            with T.serial(0, equal) as tile:
                body(tile, plan.columns)
        if equal < plan.tiles:
            body(plan.tiles - 1, plan.last_columns)

    def _line(self, rows: Rows, width: int, group: Expr, tile: Expr, columns: int) -> None:
        """All tiles of one line."""
        size = self.plan.rows
        if width >= size:
            with T.serial(0, width // size) as step:
                self._tile(rows, step * size, size, group, tile, columns)
        if width % size:
            self._tile(rows, width - width % size, width % size, group, tile, columns)

    def _block(self, rows: Rows, m: int, first: Expr, group: Expr, tile: Expr, columns: int) -> None:
        """All tiles of a block of rows; only the last block can have fewer, and a smaller tile at its end."""
        size, left = self.plan.rows, m % self.plan.rows
        if m <= self.plan.block:
            count: Expr = m // size
        elif m % self.plan.block:
            count = tirx.min(self.plan.block // size, tirx.indexdiv(m - left - first, size))
        else:
            count = self.plan.block // size
        if m >= size:
            with T.serial(0, count) as step:
                self._tile(rows, step * size, size, group, tile, columns)
        if left and m <= self.plan.block:
            self._tile(rows, m - left, left, group, tile, columns)
        elif left:
            with T.If(first + self.plan.block >= m), T.Then():
                self._tile(rows, m - left - first, left, group, tile, columns)

    def _tile(self, rows: Rows, at: Expr, count: int, group: Expr, tile: Expr, columns: int) -> None:
        """The micro-kernel and the epilogue for `count` rows from `at` on."""
        plan, kernel = self.plan, self.kernel
        sums = local(count * columns, kernel.accumulator)
        each = 2 if plan.scale_block else 1
        base = group * (plan.group_elements // each) + tile * (plan.columns * plan.depth // each)

        def weights(offset: Expr, lanes: int) -> Expr:
            stored = self.weights[span(base + offset, lanes)]
            return widened(stored) if self.halves else stored

        def data(row: Expr, offset: Expr, lanes: int) -> Expr:
            return rows.buffer[span(rows.start + (at + row) * rows.stride + offset, lanes)]

        scales = self._scales(tile) if plan.scale_block else None
        kernel.emit(Operands(count, columns, rows.run, data, weights, sums, rows.jumps, scales))
        first_column = tile * plan.columns
        width = min(columns, plan.n - first_column) if isinstance(tile, int) else columns
        with T.unroll(0, count) as row:
            position = rows.position(at + row)
            done = 0
            for lanes in powers_of_two(width, self.store_lanes):
                column = group * plan.n + first_column + done
                self._store(position, column, lanes, sums, row * columns + done)
                done += lanes

    def _scales(self, tile: Expr) -> Scales:
        """The scales of a tile of columns."""
        scales, packed = T.buffer_proxy(self.definition.scales), self.plan.scales
        base = tile * (packed.columns * packed.depth)
        return Scales(self.plan.scale_block, lambda at, lanes: scales[span(base + at, lanes)])

    def _store(self, position: Sequence[Expr], column: Expr, lanes: int, sums: Any, at: Expr) -> None:
        with lane_loop(lanes) as lane:
            index = (*position, column + lane)
            self.result[index] = self.definition.epilogue(index, sums[at + lane])

    def _in_memory(self, first: Expr) -> Rows:
        buffer, depth = flat_view(self.definition.data), self.plan.depth
        return Rows(buffer, first * depth, depth, depth, (), partial(self._position, first))

    def _gathered(self, group: Expr, first: Expr, count: Expr) -> Rows:
        plan = self.plan
        panel = local(plan.block * plan.depth, self.kernel.data)
        with T.serial(0, count) as row:
            position = unflatten(first + row, self.shape[:-1])
            gather_row(panel, row * plan.depth, self.definition.data, position, plan, group)
            if self.kernel.data.startswith("float"):
                # A weight of 0 does not make 0 of what is no number.
                fill_run(panel, row * plan.depth + plan.k, plan.depth - plan.k, 0)
        return Rows(panel, 0, plan.depth, plan.depth, (), partial(self._position, first))

    def _position(self, first: Expr, row: Expr) -> list[Expr]:
        """Where row `first + row` of all rows is in the result."""
        return unflatten(first + row, self.shape[:-1])
