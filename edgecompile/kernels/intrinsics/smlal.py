"""A64: SMLAL multiplies four 16-bit columns by one element of a row, and adds to four sums."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear, span
from edgecompile.kernels.math import Expr

_SMULL = "llvm.aarch64.neon.smull.v4i32"


@dataclass(frozen=True)
class Smlal:
    """Vectors of 4 columns, one k each; weights stay bytes in memory and are widened when they are loaded.

    Rows are read four elements at a time, and used by element. With eight LLVM loads the weights of all eight
    before it uses them, which takes more registers than there are.
    """

    name = "smlal"
    data = "int16"
    accumulator = "int32"
    group = 1
    lanes = 4

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, weights of two k, four elements of every row, and weights under way."""
        vectors = columns // 4
        return rows * vectors + 2 * vectors + rows + 4

    def cycles(self, rows: int, columns: int) -> float:
        """Instructions for one k: products, weights' loads and widening, a quarter of the rows, the loop."""
        vectors = columns // 4
        return rows * vectors + 2 * vectors + 0.25 * rows + 0.5

    def emit(self, tile: Operands) -> None:
        clear(tile.sums, tile.rows * tile.columns, 4)
        tile.parts(4, 1, partial(self._step, tile))

    def _step(self, tile: Operands, at: Expr, k: Expr, loaded: int, lane: int) -> None:
        """Products of weights number `k` with element `lane` of the `loaded` ones of a row at `at`."""
        with T.unroll(0, tile.rows) as row, T.unroll(0, tile.columns // 4) as vector:
            values = tile.x(row, at, loaded)
            factor = tirx.Broadcast(values, 4) if loaded == 1 else tirx.Shuffle([values], [lane] * 4)
            weights = tirx.Cast("int16x4", tile.w(k * tile.columns + vector * 4, 4))
            place = span(row * tile.columns + vector * 4, 4)
            product = tirx.call_llvm_pure_intrin("int32x4", _SMULL, weights, factor)
            tile.sums[place] = tile.sums[place] + product
