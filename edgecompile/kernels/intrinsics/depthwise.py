"""How an instruction set adds up the products of a depthwise convolution: lanes are channels.

Each way emits, for every pixel of a tile, sums += x(pixel, tap) * w(tap) over a list of taps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.intrinsics.pmaddwd import INSTRUCTION
from edgecompile.kernels.loops import span
from edgecompile.kernels.math import Expr, cast, dtype_of


@dataclass(frozen=True)
class Taps:
    """A tile of `pixels` by `lanes` channels, with operands for taps of any description.

    x(pixel, tap, lane, lanes) and w(tap, lane, lanes) are vectors of `lanes` channels from `lane` on (a
    scalar for 1). `sums` is a local buffer of pixels * lanes accumulators of type `accumulator`.
    """

    pixels: int
    lanes: int
    accumulator: str
    x: Callable[[int, Any, Expr, int], Expr]
    w: Callable[[Any, Expr, int], Expr]
    sums: Any

    def vectors(self, pixel: int, tap: Any) -> tuple[Expr, Expr]:
        """All lanes of x and w."""
        return self.x(pixel, tap, 0, self.lanes), self.w(tap, 0, self.lanes)

    def add(self, pixel: int, value: Expr) -> None:
        """sums[pixel] += value, a vector."""
        place = span(pixel * self.lanes, self.lanes)
        self.sums[place] = self.sums[place] + value


class DepthwiseKernel(Protocol):
    """One way to multiply and add; `lanes` channels at a time, `pixels` of them at most in registers."""

    @property
    def name(self) -> str: ...
    @property
    def lanes(self) -> int: ...
    @property
    def pixels(self) -> int: ...

    def emit(self, tile: Taps, taps: Sequence[Any]) -> None:
        """Emit the statements that add all `taps`."""
        ...


@dataclass(frozen=True)
class PlainTaps:
    """A multiplication and an addition in the type of the sums."""

    lanes: int
    pixels: int
    name = "plain"

    def emit(self, tile: Taps, taps: Sequence[Any]) -> None:
        for tap in taps:
            for pixel in range(tile.pixels):
                with T.vectorized(0, tile.lanes) if tile.lanes > 1 else T.serial(0, 1) as lane:
                    x, w = tile.x(pixel, tap, lane, 1), tile.w(tap, lane, 1)
                    product = cast(x, tile.accumulator) * cast(w, tile.accumulator)
                    at = pixel * tile.lanes + lane
                    tile.sums[at] = tile.sums[at] + product


@dataclass(frozen=True)
class PairedTaps:
    """Two products of bytes are added in 16 bits before they are widened: SMULL, SMLAL and SADDW on A64.

    They fit unless a weight is -128.
    """

    lanes: int = 16
    pixels: int = 4
    name = "paired"

    def emit(self, tile: Taps, taps: Sequence[Any]) -> None:
        for first in range(0, len(taps), 2):
            for pixel in range(tile.pixels):
                products = [
                    _widened(x, "int16") * _widened(w, "int16")
                    for x, w in (tile.vectors(pixel, tap) for tap in taps[first : first + 2])
                ]
                both = products[0] if len(products) == 1 else products[0] + products[1]
                tile.add(pixel, _widened(both, "int32"))


@dataclass(frozen=True)
class PmaddwdTaps:
    """x86: PMADDWD on words of 32 bits whose upper halves add nothing; it is faster than a 32-bit product."""

    vector_bits: int
    name = "pmaddwd"

    @property
    def lanes(self) -> int:
        return self.vector_bits // 32

    @property
    def pixels(self) -> int:
        return 8 if self.vector_bits == 512 else 4

    def emit(self, tile: Taps, taps: Sequence[Any]) -> None:
        shorts = f"int16x{2 * self.lanes}"
        for tap in taps:
            for pixel in range(tile.pixels):
                data, weight = tile.vectors(pixel, tap)
                x, w = _widened(data, "int32"), _widened(weight, "int32")
                if not dtype_of(data).startswith("uint"):
                    # The upper half of a negative activation is not 0, so that of the weight has to be.
                    w = tirx.bitwise_and(w, tirx.Broadcast(tirx.const(0xFFFF, "int32"), self.lanes))
                words = [tirx.reinterpret(shorts, v) for v in (x, w)]
                name = f"llvm.x86.{INSTRUCTION[self.vector_bits]}"
                tile.add(pixel, tirx.call_llvm_pure_intrin(f"int32x{self.lanes}", name, *words))


def _widened(value: Expr, element: str) -> Expr:
    """A vector with elements of another type."""
    return tirx.Cast(f"{element}x{dtype_of(value).partition('x')[2]}", value)


def depthwise_kernel(isa: Isa, data: str, least_weight: int = 0) -> DepthwiseKernel:
    """The fastest way for activations of type `data`; `least_weight` is the lowest of int8 weights."""
    return _kernels(isa)[_choose(isa, data, least_weight)]


def find_depthwise_kernel(name: str, isa: Isa) -> DepthwiseKernel:
    """The kernel that a plan names."""
    return _kernels(isa)[name]


def _choose(isa: Isa, data: str, least_weight: int) -> str:
    if data.startswith("float") or not isa.intrinsics:
        return "plain"
    if isa.int8 in ("vnni", "pmaddwd"):
        return "pmaddwd"
    paired = isa.int8 in ("smull", "sdot", "smmla") and data == "int8" and least_weight > -128
    return "paired" if paired else "plain"


def _kernels(isa: Isa) -> dict[str, DepthwiseKernel]:
    plain = PlainTaps(max(1, isa.vector_bits // 32), 4 if isa.registers < 32 else 8)
    kernels: list[DepthwiseKernel] = [plain, PairedTaps()]
    if isa.vector_bits in INSTRUCTION:
        kernels.append(PmaddwdTaps(isa.vector_bits))
    return {kernel.name: kernel for kernel in kernels}
