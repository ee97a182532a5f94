"""Multiplying what is in the memory of a block: each thread a tile of its own, or a warp together."""

from __future__ import annotations

from collections.abc import Callable

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.gpu.grid import private
from edgecompile.kernels.gpu.plan import DP4A, MMA_COLUMNS, MMA_ROWS, MMA_WORDS, GpuPlan
from edgecompile.kernels.loops import Buffer, span
from edgecompile.kernels.math import Expr, cast

_VECTOR = 4
_WARP = 32

# Takes (row, column) in the block, how many neighbours of the row there are, and the place of their sums.
Store = Callable[[Expr, Expr, int, Expr], None]


class Tile:
    """The part of a block's result that one thread adds up in `sums`; `member` numbers those of its slice."""

    def __init__(self, plan: GpuPlan, memory: Buffer, sums: Buffer, slice_: Expr, member: Expr) -> None:
        self.plan, self.memory, self.sums, self.slice = plan, memory, sums, slice_
        across = plan.columns // plan.thread_columns
        owner = tirx.indexdiv(member, _WARP) if plan.arithmetic.by_warps else member
        self.row, self.column = (
            place * size
            for place, size in (
                (tirx.indexdiv(owner, across), plan.rows),
                (tirx.indexmod(owner, across), plan.thread_columns),
            )
        )
        self.lane = tirx.indexmod(member, _WARP)
        self.weights = plan.words * plan.pitches[0]

    def multiply(self) -> None:
        """Add the products of a step, or of the slice's part of it."""
        raise NotImplementedError

    def each_result(self, store: Store) -> None:
        """Emit `store` for all sums."""
        raise NotImplementedError


class ThreadTile(Tile):
    """Every thread has `rows` x `thread_columns` sums."""

    def multiply(self) -> None:
        plan, word = self.plan, str(self.memory.dtype)
        rows, columns = private(plan.rows, word), private(plan.thread_columns, word)
        each = plan.words // plan.slices
        with T.serial(0, each) as i:
            k = self.slice * each + i
            self._copy(rows, plan.rows, k * plan.pitches[0] + self.row)
            self._copy(columns, plan.thread_columns, self.weights + k * plan.pitches[1] + self.column)
            with T.unroll(0, plan.rows) as r, T.unroll(0, plan.thread_columns) as c:
                place = r * plan.thread_columns + c
                self.sums[place] = self._multiply_add(self.sums[place], rows[r], columns[c])

    def _multiply_add(self, total: Expr, a: Expr, b: Expr) -> Expr:
        if self.plan.arithmetic is DP4A:
            return T.call_extern("int32", "__dp4a", cast(a, "int32"), cast(b, "int32"), total)
        return total + a * b

    def _copy(self, target: Buffer, count: int, at: Expr) -> None:
        lanes = min(count, _VECTOR)
        with T.unroll(0, count // lanes) as vector:
            target[span(vector * lanes, lanes)] = self.memory[span(at + vector * lanes, lanes)]

    def each_result(self, store: Store) -> None:
        plan = self.plan
        lanes = min(plan.thread_columns, _VECTOR)
        with T.unroll(0, plan.rows) as r, T.unroll(0, plan.thread_columns // lanes) as vector:
            column = vector * lanes
            store(self.row + r, self.column + column, lanes, r * plan.thread_columns + column)


class WarpTile(Tile):
    """A warp has `rows` x `thread_columns` sums, tile by tile of one instruction, four a thread in each.

    Of a tile's sums a thread has two neighbours in row `lane / 4`, and two in the row 8 further.
    """

    def multiply(self) -> None:
        plan, word = self.plan, str(self.memory.dtype)
        down, across = plan.rows // MMA_ROWS, plan.thread_columns // MMA_COLUMNS
        a, b = private(4 * down, word), private(2 * across, word)
        place, k_lane = tirx.indexdiv(self.lane, 4), tirx.indexmod(self.lane, 4)
        each = plan.words // plan.slices // MMA_WORDS
        with T.serial(0, each) as i:
            k = (self.slice * each + i) * MMA_WORDS + k_lane
            with T.unroll(0, down) as r:
                for part in range(4):
                    row = self.row + r * MMA_ROWS + place + 8 * (part % 2)
                    a[r * 4 + part] = self.memory[(k + 4 * (part // 2)) * plan.pitches[0] + row]
            with T.unroll(0, across) as c:
                for part in range(2):
                    column = self.column + c * MMA_COLUMNS + place
                    at = self.weights + (k + 4 * part) * plan.pitches[1] + column
                    b[c * 2 + part] = self.memory[at]
            with T.unroll(0, down) as r, T.unroll(0, across) as c:
                sums = self.sums[(r * across + c) * 4]
                operands = (tirx.address_of(x) for x in (sums, a[r * 4], b[c * 2]))
                T.evaluate(T.call_extern("int32", f"edgecompile_{plan.kernel}", *operands))

    def each_result(self, store: Store) -> None:
        plan = self.plan
        across = plan.thread_columns // MMA_COLUMNS
        place, pair = tirx.indexdiv(self.lane, 4), tirx.indexmod(self.lane, 4) * 2
        with T.unroll(0, plan.rows // MMA_ROWS) as r, T.unroll(0, across) as c:
            for half in range(2):
                row = self.row + r * MMA_ROWS + place + 8 * half
                column = self.column + c * MMA_COLUMNS + pair
                store(row, column, 2, (r * across + c) * 4 + 2 * half)
