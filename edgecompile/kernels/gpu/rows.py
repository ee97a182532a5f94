"""Kernels that go through rows, on a GPU: threads of a block share a row, and combine what they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import unflatten
from edgecompile.kernels.gpu.grid import combine_in_warp, grid, only_if, shared, sync
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.loops import Buffer, MakeRow, Row, RowLoops
from edgecompile.kernels.math import Expr

_THREADS = 128
# A row of so many elements may have a whole block, if there are few rows.
_LONG = 512


@dataclass(frozen=True)
class Team:
    """The threads that share a row: how many, in warps of `warp`, and the number of this one."""

    threads: int
    thread: Expr
    warp: int


class SharedRow(Row):
    """A row of which each thread of a team has every so many-th element."""

    def __init__(self, extent: int, team: Team) -> None:
        super().__init__(extent, vector=False)
        self.team = team

    def each(self, body: Callable[[Expr, Expr], None]) -> None:
        """Emit `body(position, 0)` for the thread's positions."""
        team = self.team
        with T.serial(0, -(-self.extent // team.threads)) as step:
            position = step * team.threads + team.thread
            with only_if([position < self.extent] if self.extent % team.threads else []):
                body(position, 0)

    def each_in(self, extents: Sequence[int], body: Callable[[tuple[Expr, ...], Expr], None]) -> None:
        """Emit `body(index, 0)` for the thread's elements of a box, all of which is one row here."""
        flat = SharedRow(math.prod(extents), self.team)
        flat.each(lambda position, lane: body(tuple(unflatten(position, extents)), lane))

    def finish(self, partial: Buffer, combine: Callable[[Expr, Expr], Expr]) -> Expr:
        """Combine what all threads have; each gets the result."""
        team = self.team
        combine_in_warp(partial, combine, team.warp)
        if team.threads > team.warp:
            sums = shared(team.threads // team.warp, str(partial.dtype))
            sums[tirx.indexdiv(team.thread, team.warp)] = partial[0]
            sync()
            partial[0] = sums[0]
            with T.serial(1, team.threads // team.warp) as other:
                partial[0] = combine(partial[0], sums[other])
        return partial[0]


def row_threads(gpu: Gpu) -> list[int]:
    """How many threads a row may have."""
    return [gpu.warp << bit for bit in range(4)]


class WarpRows(RowLoops):
    """Each row has `threads`; as a rule (0) a warp of `gpu`, or a block where rows are few and long."""

    def __init__(self, gpu: Gpu, threads: int = 0) -> None:
        super().__init__(lanes=1)
        self.gpu, self.threads = gpu, threads

    @contextmanager
    def each(self, extents: Sequence[int], length: int) -> Iterator[tuple[tuple[Expr, ...], MakeRow]]:
        """A grid over a box of rows."""
        count = math.prod(extents)
        few = count < self.gpu.multiprocessors * _THREADS // self.gpu.warp
        threads = self.threads or (_THREADS if few and length >= _LONG else self.gpu.warp)
        # No block has teams without a row: all threads take part in what they do together.
        rows = math.gcd(_THREADS // threads, count) if threads == self.gpu.warp else 1
        with grid((count // rows,), rows * threads) as ((block,), thread):
            number = block * rows + tirx.indexdiv(thread, threads)
            team = Team(threads, tirx.indexmod(thread, threads), self.gpu.warp)
            index = tuple(unflatten(number, extents)) if extents else ()
            yield index, lambda extent, _: SharedRow(extent, team)

    def each_line(self, outer: int, extent: int, inner: int, body: Callable[[Row, Expr], None]) -> None:
        """As `RowLoops.each_line`, a line a row."""
        with self.each((outer, inner), extent) as ((block, place), make_row):
            body(make_row(extent, False), block * extent * inner + place)
