"""Sums of 64 bits: a micro-kernel of 32-bit sums over so few k at a time that they cannot overflow."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.intrinsics.base import MicroKernel, Operands
from edgecompile.kernels.loops import clear, local
from edgecompile.kernels.math import Expr, cast

# So many products of any int16 with any int8 fit int32: 511 * 2^15 * 2^7 < 2^31. A multiple of all groups.
STEP = 496
PREFIX = "in_steps_"


@dataclass(frozen=True)
class InSteps:
    """`inner` for each run of a row, cut into pieces of `STEP`; what each gives is added in 64 bits."""

    inner: MicroKernel

    accumulator = "int64"

    @property
    def name(self) -> str:
        return PREFIX + self.inner.name

    @property
    def data(self) -> str:
        return self.inner.data

    @property
    def group(self) -> int:
        return self.inner.group

    @property
    def lanes(self) -> int:
        return self.inner.lanes

    def registers(self, rows: int, columns: int) -> int:
        """Those of the inner kernel; sums of 64 bits are in memory."""
        return self.inner.registers(rows, columns)

    def cycles(self, rows: int, columns: int) -> float:
        """Those of the inner kernel; additions in 64 bits are few."""
        return self.inner.cycles(rows, columns)

    def emit(self, tile: Operands) -> None:
        clear(tile.sums, tile.rows * tile.columns, self.lanes)
        size = min(tile.run, STEP)
        whole = tile.run - tile.run % size
        with tile.steps(size, 0, whole) as (at, k):
            self._step(tile, at, k, size)
        if tile.run > whole:
            with tile.steps(tile.run - whole, whole) as (at, k):
                self._step(tile, at, k, tile.run - whole)

    def _step(self, tile: Operands, at: Expr, k: Expr, size: int) -> None:
        """Add the products of `size` k from `at` in a row, number `k` of all, on."""
        count = tile.rows * tile.columns
        part = local(count, self.inner.accumulator)
        piece = replace(
            tile,
            run=size,
            x=lambda row, offset, lanes: tile.x(row, at + offset, lanes),
            w=lambda offset, lanes: tile.w(k * tile.columns + offset, lanes),
            sums=part,
            jumps=(),
        )
        self.inner.emit(piece)
        with T.serial(0, count // self.lanes) as vector, T.vectorized(0, self.lanes) as lane:
            place = vector * self.lanes + lane
            tile.sums[place] = tile.sums[place] + cast(part[place], self.accumulator)
