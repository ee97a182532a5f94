"""A64 without dot products (Cortex-A53, A72): SMULL and SMLAL2 multiply bytes, SADALP adds neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear, local, span
from edgecompile.kernels.math import Expr

_SMULL = "llvm.aarch64.neon.smull.v8i16"
_SADDLP = "llvm.aarch64.neon.saddlp.v4i32.v8i16"
_ADDP = "llvm.aarch64.neon.addp.v4i32"


@dataclass(frozen=True)
class Smull:
    """Each sum is four partial ones, which are added at the end; 16 k at a time.

    Two products are added in 16 bits, which they fit unless a weight is -128. With `any_weight` each product
    is widened by itself.
    """

    any_weight: bool = False

    data = "int8"
    accumulator = "int32"
    group = 16
    lanes = 4

    @property
    def name(self) -> str:
        return "smull_any" if self.any_weight else "smull"

    def registers(self, rows: int, columns: int) -> int:
        """Four lanes for each sum, the rows or weights of several columns, and products under way."""
        return rows * columns + max(rows, columns // 2) + 6

    def cycles(self, rows: int, columns: int) -> float:
        """Instructions for 16 k: three (four) a sum, one for each load, and the loop."""
        return (4 if self.any_weight else 3) * rows * columns + rows + 0.5 * columns + 3

    def emit(self, tile: Operands) -> None:
        partial = local(tile.rows * tile.columns * 4, "int32")
        clear(partial, tile.rows * tile.columns * 4, 4)
        columns, rows = T.unroll(0, tile.columns), T.unroll(0, tile.rows)
        with tile.steps(16) as (at, k), columns as column, rows as row:
            weights = tile.w(k * tile.columns + column * 16, 16)
            place = span((row * tile.columns + column) * 4, 4)
            partial[place] = self._add_products(partial[place], tile.x(row, at, 16), weights)
        with T.unroll(0, tile.rows * tile.columns // 4) as vector:
            four = [partial[span(vector * 16 + 4 * i, 4)] for i in range(4)]
            pairs = [_call("int32x4", _ADDP, *four[i : i + 2]) for i in (0, 2)]
            tile.sums[span(vector * 4, 4)] = _call("int32x4", _ADDP, *pairs)

    def _add_products(self, sums: Expr, row: Expr, weights: Expr) -> Expr:
        low, high = (_call("int16x8", _SMULL, _eight(row, first), _eight(weights, first)) for first in (0, 8))
        if self.any_weight:
            return sums + _call("int32x4", _SADDLP, low) + _call("int32x4", _SADDLP, high)
        return sums + _call("int32x4", _SADDLP, low + high)


def _call(dtype: str, name: str, *arguments: Expr) -> Expr:
    return tirx.call_llvm_pure_intrin(dtype, name, *arguments)


def _eight(values: Expr, first: int) -> Expr:
    """Bytes `first` ... `first` + 7 of 16."""
    return tirx.Shuffle([values], list(range(first, first + 8)))
