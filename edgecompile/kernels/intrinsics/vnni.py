"""x86 VNNI: VPDPBUSD adds four products of unsigned activations and signed weights to each lane."""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.math import Expr


@dataclass(frozen=True)
class Vnni:
    """Vectors of 8 (AVX-VNNI) or 16 columns (AVX-512 VNNI), four k each."""

    vector_bits: int
    in_flight: int = 8

    name = "vnni"
    data = "uint8"
    accumulator = "int32"
    group = 4

    @property
    def lanes(self) -> int:
        return self.vector_bits // 32

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, a vector of weights for each vector of columns, and one broadcast row."""
        vectors = columns // self.lanes
        return rows * vectors + vectors + 1

    def cycles(self, rows: int, columns: int) -> float:
        """Products (too few leave the units waiting); each broadcast and each load costs half of one."""
        vectors = columns // self.lanes
        return max(rows * vectors, self.in_flight) + 0.5 * (rows + vectors)

    def emit(self, tile: Operands) -> None:
        tile.spread(self.group, self.lanes, self._add_products)

    def _add_products(self, sums: Expr, four: Expr, weights: Expr) -> Expr:
        """LLVM types all operands as bytes; which of them is unsigned is part of the instruction."""
        word = tirx.reinterpret("int32", four)
        row = tirx.reinterpret(f"int8x{4 * self.lanes}", tirx.Broadcast(word, self.lanes))
        name = f"llvm.x86.avx512.vpdpbusd.{self.vector_bits}"
        return tirx.call_llvm_pure_intrin(f"int32x{self.lanes}", name, sums, row, weights)
