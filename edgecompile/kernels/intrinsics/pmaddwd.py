"""x86: PMADDWD multiplies pairs of 16-bit numbers and adds the two products.

With VNNI, VPDPWSSD adds them to a sum as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from tvm import tirx

from edgecompile.kernels.intrinsics.base import Operands
from edgecompile.kernels.math import Expr

# By the bits of a vector.
INSTRUCTION = {128: "sse2.pmadd.wd", 256: "avx2.pmadd.wd", 512: "avx512.pmaddw.d.512"}


@dataclass(frozen=True)
class Pmaddwd:
    """Vectors of 4 (SSE2), 8 (AVX2) or 16 columns (AVX-512BW), two k each.

    Bytes of rows are gathered as 16-bit numbers; weights stay bytes in memory and are widened when they are
    loaded. `adds` says that there is VPDPWSSD.
    """

    vector_bits: int
    adds: bool = False
    in_flight: int = 8

    data = "int16"
    accumulator = "int32"
    group = 2

    @property
    def name(self) -> str:
        return "vpdpwssd" if self.adds else "pmaddwd"

    @property
    def lanes(self) -> int:
        return self.vector_bits // 32

    def registers(self, rows: int, columns: int) -> int:
        """Accumulators, a vector of weights for each vector of columns, a broadcast row and its products."""
        vectors = columns // self.lanes
        return rows * vectors + vectors + 2

    def cycles(self, rows: int, columns: int) -> float:
        """A multiplication and an addition a pair; widening weights costs as much as a multiplication."""
        vectors = columns // self.lanes
        products = rows * vectors if self.adds else 2 * rows * vectors
        return max(products, self.in_flight) + 1.5 * vectors + 0.5 * rows

    def emit(self, tile: Operands) -> None:
        tile.spread(self.group, self.lanes, self._add_products)

    def _add_products(self, sums: Expr, two: Expr, weights: Expr) -> Expr:
        shorts, words = f"int16x{2 * self.lanes}", f"int32x{self.lanes}"
        row = tirx.reinterpret(shorts, tirx.Broadcast(tirx.reinterpret("int32", two), self.lanes))
        wide = tirx.Cast(shorts, weights)
        if self.adds:
            name = f"llvm.x86.avx512.vpdpwssd.{self.vector_bits}"
            return tirx.call_llvm_pure_intrin(words, name, sums, row, wide)
        return sums + tirx.call_llvm_pure_intrin(
            words, f"llvm.x86.{INSTRUCTION[self.vector_bits]}", row, wide
        )
