"""A64 with 8-bit matrix products (i8mm): SMMLA adds eight products to each sum of a 2 x 2 tile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear, local, span
from edgecompile.kernels.math import Expr

_SMMLA = "llvm.aarch64.neon.smmla.v4i32.v16i8"


@dataclass(frozen=True)
class Smmla:
    """One accumulator holds two rows of two columns; a lone last row is paired with itself."""

    name = "smmla"
    data = "int8"
    accumulator = "int32"
    group = 8
    lanes = 4

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, 16 k of every row, and vectors of weights and joined rows."""
        pairs = -(-rows // 2)
        return pairs * (columns // 2) + 2 * pairs + 3

    def cycles(self, rows: int, columns: int) -> float:
        """Instructions for eight k: products, weights (by pairs), loads and exchanges for pairs of rows."""
        pairs = -(-rows // 2)
        return pairs * (columns // 2) + 0.25 * columns + 2 * pairs + 1.5

    def emit(self, tile: Operands) -> None:
        pairs = -(-tile.rows // 2)
        squares = local(pairs * tile.columns * 2, "int32")
        clear(squares, pairs * tile.columns * 2, 4)
        tile.parts(16, 8, partial(self._step, tile, squares))
        self._separate_rows(tile, squares)

    def _step(self, tile: Operands, squares: Expr, at: Expr, k: Expr, loaded: int, half: int) -> None:
        """Eight products a sum, by half number `half` of the `loaded` bytes of a row at `at`."""
        with T.unroll(0, tile.columns // 2) as column:
            weights = tile.w(k * tile.columns + column * 16, 16)
            for pair in range(-(-tile.rows // 2)):
                second = min(2 * pair + 1, tile.rows - 1)
                rows = [tile.x(row, at, loaded) for row in (2 * pair, second)]
                values = _join_halves(rows, loaded, half)
                place = span((pair * (tile.columns // 2) + column) * 4, 4)
                squares[place] = tirx.call_llvm_pure_intrin(
                    "int32x4", _SMMLA, squares[place], values, weights
                )

    def _separate_rows(self, tile: Operands, squares: Expr) -> None:
        """Squares of two columns become rows of four."""
        with T.unroll(0, tile.columns // 4) as vector:
            for row in range(tile.rows):
                at = (row // 2 * (tile.columns // 2) + vector * 2) * 4
                lanes = [2, 3, 6, 7] if row % 2 else [0, 1, 4, 5]
                both = [squares[span(at, 4)], squares[span(at + 4, 4)]]
                tile.sums[span(row * tile.columns + vector * 4, 4)] = tirx.Shuffle(both, lanes)


def _join_halves(rows: list[Expr], lanes: int, half: int) -> Expr:
    """Eight bytes of each of two rows in one register; both come as vectors of `lanes` bytes."""
    words = lanes // 4
    both = [tirx.reinterpret(f"int32x{words}", row) for row in rows]
    at = [half * 2, half * 2 + 1]
    return tirx.reinterpret("int8x16", tirx.Shuffle(both, [*at, *(words + i for i in at)]))
