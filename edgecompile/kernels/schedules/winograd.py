"""Winograd convolution as loops.

for a block of tiles:                         (the loop that threads share)
    for a tile: transform its input, all channels, into (m+2)^2 matrices of [tiles, channels]
    for a tile of columns (output channels):
        for a matrix, for a tile of rows: the micro-kernel computes the products
        for a tile: transform its products back, apply the epilogue, store

Blocks are small enough for what lies between the steps to stay in a cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import flatten, unflatten
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.base import MicroKernel, Operands
from edgecompile.kernels.loops import choose, flat_view, lane_loop, local, span
from edgecompile.kernels.math import Expr
from edgecompile.kernels.schedules.definition import Definition
from edgecompile.kernels.schedules.expressions import with_loops

# Matrices lie this many elements further apart than they are long: at distances that are powers of two, all
# elements of a tile would compete for one set of the cache.
_GAP = 16


def expand_winograd(
    function: tirx.PrimFunc, definition: Definition, plan: WinogradPlan, kernel: MicroKernel
) -> tirx.PrimFunc:
    """`function` with its body replaced by the loops of the plan."""
    return with_loops(function, lambda: _Emitter(definition, plan, kernel).emit())


@dataclass(frozen=True)
class _Matrices:
    """(m+2)^2 matrices of `rows` x `columns` in one buffer."""

    buffer: Any
    rows: int
    columns: int

    @staticmethod
    def of(number: int, rows: int, columns: int) -> _Matrices:
        return _Matrices(local(number * (rows * columns + _GAP), "float32"), rows, columns)

    def at(self, matrix: Expr, row: Expr, column: Expr) -> Expr:
        return matrix * (self.rows * self.columns + _GAP) + row * self.columns + column


class _Emitter:
    """Emits the loops of one convolution."""

    def __init__(self, definition: Definition, plan: WinogradPlan, kernel: MicroKernel) -> None:
        self.definition, self.plan, self.kernel = definition, plan, kernel
        self.product, self.transform = plan.product, plan.transform
        self.shape = [int(extent) for extent in definition.result.ty.shape]
        self.extents = [int(extent) for extent in definition.data.ty.shape]
        self.tiles = self.plan.tiles(self.shape)
        self.result = T.buffer_proxy(definition.result)
        self.weights = T.buffer_proxy(definition.weights)

    def emit(self) -> None:
        number, block = self.transform.size**2, self.product.block
        with self._blocks() as (first, count):
            inputs = _Matrices.of(number, block, self.product.k)
            with T.serial(0, count) as row:
                self._transform_input(inputs, first + row, row)

            def columns_of(tile: Expr, columns: int) -> None:
                outputs = _Matrices.of(number, block, columns)
                with T.serial(0, number) as matrix:
                    self._multiply(inputs, outputs, matrix, (first, count), tile)
                with T.serial(0, count) as row:
                    self._transform_output(outputs, first + row, row, tile)

            self._for_columns(columns_of)

    @contextmanager
    def _blocks(self) -> Iterator[tuple[Expr, Expr]]:
        """The loop over blocks: (first tile, how many); the last block may be smaller."""
        size, total = self.product.block, prod(self.tiles)
        if total <= size:
            yield 0, total
            return
        with T.parallel(0, -(-total // size)) as block:
            first = block * size
            yield first, size if total % size == 0 else tirx.min(size, total - first)

    def _for_columns(self, body: Callable[[Expr, int], None]) -> None:
        """body(tile, columns) for all tiles of columns; that of a smaller last one is a constant."""
        product = self.product
        equal = product.n // product.columns
        if equal:
            with T.serial(0, equal) as tile:
                body(tile, product.columns)
        if equal < product.tiles:
            body(equal, product.last_columns)

    def _transform_input(self, inputs: _Matrices, tile: Expr, row: Expr) -> None:
        """All channels of one input tile; elements are checked to be inside only where some may not be."""
        window, extents, data = self.plan.window, self.extents, flat_view(self.definition.data)
        image, *position = unflatten(tile, self.tiles)
        size = self.transform.size
        y, x = corner = window.position(position, (0, 0))
        crossed = [
            (axis, window.lowest(axis) < 0, window.highest(axis, self.tiles[1 + axis]) >= extents[1 + axis])
            for axis in (0, 1)
        ]

        def inside(at: Sequence[Expr], reach: int) -> list[Expr]:
            low = [at[axis] >= 0 for axis, below, _ in crossed if below]
            return low + [at[axis] + reach < extents[1 + axis] for axis, _, above in crossed if above]

        def read(s: int, t: int, channel: Expr) -> Expr:
            return data[flatten((image, y + s, x + t, channel), extents)]

        def read_checked(s: int, t: int, channel: Expr) -> Expr:
            inner = tirx.all(*inside((y + s, x + t), 0))
            return tirx.if_then_else(inner, read(s, t, channel), tirx.const(0.0, "float32"))

        def tile_of(reader: Callable[[int, int, Expr], Expr]) -> None:
            for first, number, lanes in _pieces(self.product.k, self.kernel.lanes):
                with T.serial(0, number) as piece:
                    self._input_piece(inputs, row, first + piece * lanes, lanes, reader)

        choose(inside(corner, size - 1), lambda: tile_of(read), lambda: tile_of(read_checked))

    def _input_piece(
        self, inputs: _Matrices, row: Expr, channel: Expr, lanes: int, read: Callable[[int, int, Expr], Expr]
    ) -> None:
        """`lanes` channels of one input tile."""
        size, transform = self.transform.size, self.transform.transform_input
        half, line = local(size * size * lanes, "float32"), local(size * lanes, "float32")
        for t in range(size):
            with _lanes(lanes) as lane:
                for s in range(size):
                    line[s * lanes + lane] = read(s, t, channel + lane)
                for i, value in enumerate(transform([line[s * lanes + lane] for s in range(size)])):
                    half[(i * size + t) * lanes + lane] = value
        for i in range(size):
            with _lanes(lanes) as lane:
                for t in range(size):
                    line[t * lanes + lane] = half[(i * size + t) * lanes + lane]
                for j, value in enumerate(transform([line[t * lanes + lane] for t in range(size)])):
                    inputs.buffer[inputs.at(i * size + j, row, channel + lane)] = value

    def _multiply(
        self, inputs: _Matrices, outputs: _Matrices, matrix: Expr, block: tuple[Expr, Expr], tile: Expr
    ) -> None:
        """One matrix of a block times one tile of columns; only the last block can have fewer rows."""
        (first, count), size, total = block, self.product.rows, prod(self.tiles)
        left = total % size
        if total >= size:
            with T.serial(0, tirx.indexdiv(count, size)) as step:
                self._rows(inputs, outputs, matrix, step * size, size, tile)
        if left and total <= self.product.block:
            self._rows(inputs, outputs, matrix, total - left, left, tile)
        elif left:
            with T.If(first + self.product.block >= total), T.Then():
                self._rows(inputs, outputs, matrix, count - left, left, tile)

    def _rows(
        self, inputs: _Matrices, outputs: _Matrices, matrix: Expr, at: Expr, count: int, tile: Expr
    ) -> None:
        """The micro-kernel for `count` rows from `at` on."""
        product, columns, lanes = self.product, outputs.columns, self.kernel.lanes
        sums = local(count * columns, self.kernel.accumulator)
        base = matrix * product.group_elements + tile * (product.columns * product.depth)

        def weights(offset: Expr, width: int) -> Expr:
            return self.weights[span(base + offset, width)]

        def data(row: Expr, offset: Expr, width: int) -> Expr:
            return inputs.buffer[span(inputs.at(matrix, at + row, offset), width)]

        self.kernel.emit(Operands(count, columns, product.k, data, weights, sums))
        with T.unroll(0, count * columns // lanes) as vector, _lanes(lanes) as lane:
            place = vector * lanes + lane
            outputs.buffer[outputs.at(matrix, at, place)] = sums[place]

    def _transform_output(self, outputs: _Matrices, tile: Expr, row: Expr, columns: Expr) -> None:
        """One tile of columns of one output tile."""
        position = unflatten(tile, self.tiles)
        first = columns * self.product.columns
        width = min(outputs.columns, self.product.n - first) if isinstance(first, int) else outputs.columns
        for start, number, lanes in _pieces(width, self.kernel.lanes):
            with T.serial(0, number) as piece:
                at = start + piece * lanes
                self._output_piece(outputs, position, row, at, first + at, lanes)

    def _output_piece(
        self, outputs: _Matrices, position: Sequence[Expr], row: Expr, at: Expr, channel: Expr, lanes: int
    ) -> None:
        """`lanes` columns of one output tile: from `at` on in the products, `channel` on in the result."""
        size, tile, transform = self.transform.size, self.plan.tile, self.transform.transform_output
        half, line = local(tile * size * lanes, "float32"), local(size * lanes, "float32")
        for j in range(size):
            with _lanes(lanes) as lane:
                for i in range(size):
                    place = outputs.at(i * size + j, row, at + lane)
                    line[i * lanes + lane] = outputs.buffer[place]
                for u, value in enumerate(transform([line[i * lanes + lane] for i in range(size)])):
                    half[(u * size + j) * lanes + lane] = value
        image, y, x = position[0], position[1] * tile, position[2] * tile
        for u in range(tile):
            with self._if_inside(0, y, u):
                with _lanes(lanes) as lane:
                    values = [half[(u * size + j) * lanes + lane] for j in range(size)]
                    for v, value in enumerate(transform(values)):
                        line[v * lanes + lane] = value
                for v in range(tile):
                    with self._if_inside(1, x, v), _lanes(lanes) as lane:
                        index = (image, y + u, x + v, channel + lane)
                        self.result[index] = self.definition.epilogue(index, line[v * lanes + lane])

    @contextmanager
    def _if_inside(self, axis: int, start: Expr, offset: int) -> Iterator[None]:
        """The condition, where it can fail, that an output tile's element is one of the result's."""
        extent = self.shape[1 + axis]
        if offset < (extent % self.plan.tile or self.plan.tile):
            yield
            return
        with T.If(start + offset < extent), T.Then():
            yield


@contextmanager
def _lanes(lanes: int) -> Iterator[Expr]:
    """Statements for each lane of a vector."""
    with lane_loop(lanes) as lane:
        yield lane


def _pieces(width: int, lanes: int) -> list[tuple[int, int, int]]:
    """`width` elements as (first, how many, lanes): whole vectors, and what is left as powers of two."""
    pieces = [(0, width // lanes, lanes)] if width >= lanes else []
    done = width - width % lanes
    while done < width:
        part = 1 << ((width - done).bit_length() - 1)
        pieces.append((done, 1, part))
        done += part
    return pieces
