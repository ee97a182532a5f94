"""Armv7E-M (Cortex-M4, M7): SMLAD multiplies two pairs of 16-bit numbers and adds both products to a sum."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.loops import clear
from edgecompile.kernels.math import Expr, const

_HIGH = -0x10000
# Targets count registers for floats, 32; for integers there are 12 left besides addresses and counters.
_OTHERS = 20


@dataclass(frozen=True)
class Smlad:
    """Single columns, four k each: weights stay bytes, of which SXTB16 widens the even or the odd ones.

    So the elements of a row are exchanged to pairs of even and of odd ones as well.
    """

    name = "smlad"
    data = "int16"
    accumulator = "int32"
    group = 4
    lanes = 1

    def registers(self, rows: int, columns: int) -> int:
        """Sums, and two pairs of every row and column: LLVM loads them early."""
        return rows * columns + 2 * (rows + columns) + _OTHERS

    def cycles(self, rows: int, columns: int) -> float:
        """Instructions for four k: products, a column's load and widening, a row's loads and exchanges."""
        return 2 * rows * columns + 3 * columns + 4 * rows + 3

    def emit(self, tile: Operands) -> None:
        clear(tile.sums, tile.rows * tile.columns, 1)
        with tile.steps(4) as (at, k):
            rows = [_exchanged(tile.x(row, at, 2), tile.x(row, at + 2, 2)) for row in range(tile.rows)]
            for column in range(tile.columns):
                weights = tirx.reinterpret("int32", tile.w(k * tile.columns + 4 * column, 4))
                self._column(tile, rows, column, weights)

    def _column(self, tile: Operands, rows: list[tuple[Expr, Expr]], column: int, weights: Expr) -> None:
        rotated = tirx.bitwise_or(
            tirx.shift_right(tirx.reinterpret("uint32", weights), const(8, "uint32")),
            tirx.shift_left(tirx.reinterpret("uint32", weights), const(24, "uint32")),
        )
        even, odd = _call("sxtb16", weights), _call("sxtb16", tirx.reinterpret("int32", rotated))
        for row, (x_even, x_odd) in enumerate(rows):
            place = row * tile.columns + column
            tile.sums[place] = _call("smlad", x_odd, odd, _call("smlad", x_even, even, tile.sums[place]))


def _exchanged(first: Expr, second: Expr) -> tuple[Expr, Expr]:
    """(x0, x2) and (x1, x3) of two pairs (x0, x1) and (x2, x3), each in one word."""
    low, high = tirx.reinterpret("int32", first), tirx.reinterpret("int32", second)
    sixteen = const(16, "int32")
    even = tirx.bitwise_or(tirx.bitwise_and(low, const(0xFFFF, "int32")), tirx.shift_left(high, sixteen))
    odd = tirx.bitwise_or(
        tirx.bitwise_and(high, const(_HIGH, "int32")),
        tirx.reinterpret("int32", tirx.shift_right(tirx.reinterpret("uint32", low), const(16, "uint32"))),
    )
    return even, odd


def _call(name: str, *arguments: Expr) -> Expr:
    return tirx.call_llvm_pure_intrin("int32", f"llvm.arm.{name}", *arguments)
