"""float32 rows times weights of 4 bits, which are widened on the way into registers.

Each block of k is summed as if all scales were 1, and the sum is multiplied by the scale: that is one
multiplication for each block, row and column, where scaling the weights would be one for each weight.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compact import high_nibble, low_nibble
from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear, lane_loop, local
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr, cast

# What is loaded at a time where vectors are short: they are filled with bytes before these are widened.
_BYTES = 16


@dataclass(frozen=True)
class MultiplyAddInt4:
    """A byte holds two k of a column, so that one load of bytes gives two vectors of weights.

    `in_bytes`: nibbles are separated as bytes, where the instruction set has shifts of those.
    """

    machine: Machine
    in_bytes: bool = False

    name = "multiply_add_int4"
    data = "float32"
    accumulator = "float32"
    group = 2

    @property
    def lanes(self) -> int:
        return self.machine.lanes

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, two k of the widened weights that one load gives, rows' elements and constants.

        The latter are about a third of all registers: with fewer, LLVM moves accumulators to the stack.
        """
        widened = 2 * self._load(columns) // self.lanes
        others = rows if self.in_bytes else self.machine.registers // 3
        return rows * columns // self.lanes + widened + others

    def cycles(self, rows: int, columns: int) -> float:
        """Multiply-adds for two k (too few leave the units waiting), four steps to widen, four a load."""
        vectors = columns // self.lanes
        widening = 4 * vectors + 4 * columns // self._load(columns)
        return 2 * max(rows * vectors, self.machine.in_flight) + widening + rows

    def emit(self, tile: Operands) -> None:
        assert tile.scales is not None
        partial = local(tile.rows * tile.columns, self.accumulator)
        clear(tile.sums, tile.rows * tile.columns, self.lanes)
        size = min(tile.scales.block, tile.run)
        whole, left = divmod(tile.run, size)
        with T.serial(0, whole) as block:
            self._block(tile, partial, block, block * size, size)
        if left:
            self._block(tile, partial, whole, whole * size, left)

    def _block(self, tile: Operands, partial: Expr, block: Expr, first: Expr, extent: int) -> None:
        """Add `extent` k from `first` on, which have one scale a column."""
        assert tile.scales is not None
        clear(partial, tile.rows * tile.columns, self.lanes)
        load = self._load(tile.columns)
        with T.serial(0, extent // 2) as step, T.unroll(0, tile.columns // load) as chunk:
            self._pair(tile, partial, first + step * 2, chunk * load, load)
        rows, vectors = T.unroll(0, tile.rows), T.unroll(0, tile.columns // self.lanes)
        with rows as row, vectors as vector, lane_loop(self.lanes) as lane:
            column = vector * self.lanes + lane
            scale = tile.scales.read(block * tile.columns + column, 1)
            place = row * tile.columns + column
            tile.sums[place] = tile.sums[place] + partial[place] * scale

    def _pair(self, tile: Operands, partial: Expr, k: Expr, column: Expr, lanes: int) -> None:
        """Two k of `lanes` columns."""
        dtype = "int8" if self.in_bytes else "int32"
        with T.unroll(0, tile.rows) as row:
            for half, nibble in enumerate((low_nibble, high_nibble)):
                with lane_loop(lanes) as lane:
                    byte = tile.w(k // 2 * tile.columns + column + lane, 1)
                    weight = cast(nibble(byte, dtype), self.accumulator)
                    place = row * tile.columns + column + lane
                    partial[place] = partial[place] + tile.x(row, k + half, 1) * weight

    def _load(self, columns: int) -> int:
        """Columns whose bytes are loaded at a time."""
        return _BYTES if self.in_bytes and columns % _BYTES == 0 else self.lanes
