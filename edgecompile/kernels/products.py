"""Matrix products inside of a hand-written kernel: a block of rows times a matrix, by the micro-kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.intrinsics.base import MicroKernel, Operands, RowReader, WeightReader
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.intrinsics.select import float_kernel
from edgecompile.kernels.loops import Buffer, Row, lane_loop, local, powers_of_two, span
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr, const

# store(row, column, lanes, sum): use `lanes` neighbouring sums; sum(lane) is one of them.
Store = Callable[[Expr, Expr, int, Callable[[Expr], Expr]], None]


def product_kernel(isa: Isa, dtype: str) -> MicroKernel:
    """The micro-kernel for products of type `dtype`, float32 or float64."""
    if dtype == "float32":
        return float_kernel(isa)
    machine = Machine.of(isa)
    half = replace(machine, lanes=max(1, machine.lanes // 2))
    return MultiplyAdd(half, data=dtype, accumulator=dtype)


@dataclass(frozen=True)
class Matrix:
    """A right operand of `columns` columns, in tiles of `tile`.

    `reader(first, width)` reads the tile of columns first .. first + width - 1 as if it were packed
    [depth, width]. The last tile's width is rounded up to whole vectors: so much must be readable.
    """

    depth: int
    columns: int
    tile: int
    reader: Callable[[Expr, int], WeightReader]

    @staticmethod
    def in_place(depth: int, columns: int, tile: int, element: Callable[[Expr, Expr, int], Expr]) -> Matrix:
        """The matrix whose elements from (k, column) on are `element(k, column, lanes)`."""

        def reader(first: Expr, width: int) -> WeightReader:
            def read(at: Expr, lanes: int) -> Expr:
                return element(tirx.indexdiv(at, width), first + tirx.indexmod(at, width), lanes)

            return read

        return Matrix(depth, columns, tile, reader)


@dataclass(frozen=True)
class Panels:
    """A matrix [depth, columns] packed tile by tile, as weights are for a GemmPlan.

    A tile is [depth, tile], the last one has as many columns as are left, rounded up to `lanes`.
    """

    depth: int
    columns: int
    tile: int
    lanes: int

    @property
    def elements(self) -> int:
        """Elements of the packed matrix."""
        return self.depth * -(-self.columns // self.lanes) * self.lanes

    def matrix(self, buffer: Buffer, start: Expr = 0) -> Matrix:
        """The matrix that is packed in `buffer` from `start` on."""

        def reader(first: Expr, width: int) -> WeightReader:
            return lambda at, lanes: buffer[span(start + first * self.depth + at, lanes)]

        return Matrix(self.depth, self.columns, self.tile, reader)

    def packed(self, matrix: np.ndarray) -> np.ndarray:
        """A constant matrix, packed."""
        padded = np.pad(matrix, ((0, 0), (0, -self.columns % self.lanes)))
        tiles = [padded[:, first : first + self.tile] for first in range(0, self.columns, self.tile)]
        return np.concatenate([tile.reshape(-1) for tile in tiles])

    def pack_row(self, buffer: Buffer, k: Expr, element: Callable[[Expr], Expr]) -> None:
        """Store element(column) for row `k`."""
        whole, left = divmod(self.columns, self.tile)
        if whole:
            with T.serial(0, whole) as step:
                self._pack_tile(buffer, k, step * self.tile, self.tile, element)
        if left:
            self._pack_tile(buffer, k, whole * self.tile, left, element)

    def _pack_tile(
        self, buffer: Buffer, k: Expr, first: Expr, valid: int, element: Callable[[Expr], Expr]
    ) -> None:
        start = first * self.depth + k * self._width(valid)
        done = 0
        for lanes in powers_of_two(valid, max(self.lanes, 4)):
            with lane_loop(lanes) as lane:
                buffer[start + done + lane] = element(first + done + lane)
            done += lanes

    def pack_column(self, buffer: Buffer, column: Expr, element: Callable[[Expr], Expr]) -> None:
        """Store element(k) for `column`."""
        tile, within = tirx.indexdiv(column, self.tile), tirx.indexmod(column, self.tile)
        whole, left = divmod(self.columns, self.tile)
        last = self._width(left) if left else self.tile
        width = last if whole == 0 else tirx.Select(tile < whole, self.tile, last)
        start = tile * (self.tile * self.depth) + within

        def store(k: Expr, _: Expr) -> None:
            buffer[start + k * width] = element(k)

        Row(self.depth, vector=True, lanes=max(self.lanes, 4)).each(store)

    def clear_padding(self, buffer: Buffer) -> None:
        """Set the columns that only pad to 0, so that no arithmetic meets whatever was there."""
        left = self.columns % self.tile
        width = self._width(left)
        if width > left:
            start = (self.columns - left) * self.depth
            with T.serial(0, self.depth) as k, T.serial(left, width) as column:
                buffer[start + k * width + column] = const(0, str(buffer.dtype))

    def _width(self, valid: int) -> int:
        """The width of a tile with `valid` columns."""
        return -(-valid // self.lanes) * self.lanes


def multiply_rows(
    kernel: MicroKernel, rows: int, count: int, x: RowReader, matrix: Matrix, store: Store
) -> None:
    """Emit `store` for all elements of x, of `count` rows, times `matrix`, in register tiles of `rows` rows.

    x(row, k, lanes) is the left operand; the micro-kernel has groups of one k.
    """

    def tile_of(columns: Expr, valid: int) -> None:
        width = -(-valid // kernel.lanes) * kernel.lanes
        weights = matrix.reader(columns, width)

        def tile(first: Expr, size: int) -> None:
            sums = local(size * width, kernel.accumulator)
            kernel.emit(
                Operands(size, width, matrix.depth, lambda r, k, n: x(first + r, k, n), weights, sums)
            )
            with T.unroll(0, size) as row:
                _store_row(kernel, valid, first + row, columns, sums, row * width, store)

        _each_tile(count, rows, tile)

    _each_tile(matrix.columns, matrix.tile, tile_of)


def _each_tile(extent: int, size: int, body: Callable[[Expr, int], None]) -> None:
    """body(first, size) for all whole tiles of `extent`, and for what is left."""
    whole, left = divmod(extent, size)
    if whole == 1:
        body(0, size)
    elif whole:
        with T.serial(0, whole) as step:
            body(step * size, size)
    if left:
        body(whole * size, left)


def _store_row(
    kernel: MicroKernel, valid: int, row: Expr, column: Expr, sums: Buffer, start: Expr, store: Store
) -> None:
    done = 0
    for lanes in powers_of_two(valid, kernel.lanes):
        place = start + done
        store(row, column + done, lanes, lambda lane, place=place: sums[place + lane])  # type: ignore[misc]
        done += lanes
