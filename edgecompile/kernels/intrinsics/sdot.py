"""A64 with dot products (Cortex-A76 and later): SDOT adds four products to each of four lanes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear, span
from edgecompile.kernels.math import Expr

_SDOT = "llvm.aarch64.neon.sdot.v4i32.v16i8"


@dataclass(frozen=True)
class Sdot:
    """Vectors of 4 columns, four k each; 16 k of a row are one register, whose words are used by element."""

    name = "sdot"
    data = "int8"
    accumulator = "int32"
    group = 4
    lanes = 4

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, 16 k of every row, and two vectors of weights."""
        return rows * (columns // 4) + rows + 2

    def cycles(self, rows: int, columns: int) -> float:
        """Instructions for four k: products, weights (loaded by pairs), a quarter of the rows, the loop."""
        vectors = columns // 4
        return rows * vectors + 0.5 * vectors + 0.25 * rows + 0.75

    def emit(self, tile: Operands) -> None:
        clear(tile.sums, tile.rows * tile.columns, 4)
        tile.parts(16, 4, partial(self._step, tile))

    def _step(self, tile: Operands, at: Expr, k: Expr, loaded: int, word: int) -> None:
        """Four products a sum, by word number `word` of the `loaded` bytes of a row at `at`."""
        with T.unroll(0, tile.columns // 4) as vector, T.unroll(0, tile.rows) as row:
            place = span(row * tile.columns + vector * 4, 4)
            weights = tile.w(k * tile.columns + vector * 16, 16)
            values = splat_word(tile.x(row, at, loaded), loaded, word)
            tile.sums[place] = tirx.call_llvm_pure_intrin("int32x4", _SDOT, tile.sums[place], weights, values)


def splat_word(values: Expr, lanes: int, word: int) -> Expr:
    """16 bytes that repeat one 32-bit word of `values`, which has `lanes` bytes."""
    if lanes == 4:
        words = tirx.Broadcast(tirx.reinterpret("int32", values), 4)
    else:
        words = tirx.Shuffle([tirx.reinterpret(f"int32x{lanes // 4}", values)], [word] * 4)
    return tirx.reinterpret("int8x16", words)
