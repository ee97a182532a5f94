"""One multiply-add a lane, the row's element broadcast to all lanes.

This is the kernel for float32, and for bytes where an instruction set has nothing for them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr, cast


@dataclass(frozen=True)
class MultiplyAdd:
    """Vectors of `machine.lanes` columns. `by_lane` is for instruction sets (A64) whose multiply-add takes
    one lane of a register as its factor: four elements of a row are loaded at once. `is_narrow` says that
    there are longer vectors, which few columns would not fill."""

    machine: Machine
    by_lane: bool = False
    data: str = "float32"
    accumulator: str = "float32"
    is_narrow: bool = False

    group = 1

    @property
    def name(self) -> str:
        return f"multiply_add_{self.data}" + (f"_{self.lanes}" if self.is_narrow else "")

    @property
    def lanes(self) -> int:
        return self.machine.lanes

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, one vector of weights a column vector, and the rows' elements (one, or one a row)."""
        vectors = columns // self.lanes
        return rows * vectors + vectors + (rows if self.by_lane else 1)

    def cycles(self, rows: int, columns: int) -> float:
        """Multiply-adds (too few leave the units waiting), and loads at half their cost."""
        vectors = columns // self.lanes
        loads = vectors + (rows / 4 if self.by_lane else rows)
        return max(rows * vectors, self.machine.in_flight) + 0.5 * loads

    def emit(self, tile: Operands) -> None:
        clear(tile.sums, tile.rows * tile.columns, self.lanes)
        whole = tile.run - tile.run % 4 if self.by_lane and self.lanes == 4 else 0
        if whole:
            with tile.steps(4, 0, whole) as (at, k):
                for lane in range(4):
                    self._by_lane(tile, at, k, lane)
        if tile.run > whole:
            with tile.steps(1, whole) as (at, k):
                self._broadcast(tile, at, k)

    def _broadcast(self, tile: Operands, at: Expr, k: Expr) -> None:
        rows, vectors, total = tile.rows, tile.columns // self.lanes, self.accumulator
        with T.unroll(0, rows) as row, T.unroll(0, vectors) as vector, T.vectorized(0, self.lanes) as lane:
            column = vector * self.lanes + lane
            place = row * tile.columns + column
            product = cast(tile.x(row, at, 1), total) * cast(tile.w(k * tile.columns + column, 1), total)
            tile.sums[place] = tile.sums[place] + product

    def _by_lane(self, tile: Operands, at: Expr, k: Expr, lane: int) -> None:
        """Four elements of a row come as one vector; the factor is one of its lanes."""
        with T.unroll(0, tile.rows) as row, T.unroll(0, tile.columns // 4) as vector:
            factor = tirx.Shuffle([tile.x(row, at, 4)], [lane] * 4)
            weights = tile.w((k + lane) * tile.columns + vector * 4, 4)
            place = tirx.Ramp(row * tile.columns + vector * 4, 1, 4)
            tile.sums[place] = tile.sums[place] + factor * weights
