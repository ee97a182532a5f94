"""Attention on a GPU: a block computes some queries of a head, and keeps their scores in its memory.

Softmax is that of `kernels/compute_attention.py`, a warp a row. Every key and value that a block reads serves
all of its queries.
"""

from __future__ import annotations

import math

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute_attention import AttentionKernel, Heads, Line, Part, Place, Scores
from edgecompile.kernels.gpu.grid import grid, only_if, private, shared, sync
from edgecompile.kernels.gpu.rows import SharedRow, Team
from edgecompile.kernels.loops import Buffer, span, vector_of
from edgecompile.kernels.math import Expr, cast, const

_THREADS, _WARP, _LANES = 128, 32, 4
_MAX_QUERIES = 16
# Of 48 KB, the rest is for queries.
_SCORE_BYTES = 32 * 1024


def query_counts(heads: Heads, total: str) -> list[int]:
    """How many queries a block may have, with sums of type `total`: what fits into its memory."""
    nbytes = 8 if total == "float64" else 4
    fitting = _SCORE_BYTES // (nbytes * (heads.total + heads.size))
    most = min(_MAX_QUERIES, heads.sharing * heads.queries, fitting)
    return [1 << bit for bit in range(most.bit_length())]


class GpuAttention(AttentionKernel):
    """Emits a grid of blocks of `queries`, as a rule (0) as many as leave all multiprocessors busy.

    Keys that are too many for a block's memory go the way of CPUs.
    """

    def __init__(
        self,
        reads: dict[str, Buffer],
        heads: Heads,
        scores: Scores,
        dtype: str,
        isa: Isa,
        queries: int = 0,
    ) -> None:
        super().__init__(reads, heads, scores, dtype, isa)
        self.rows = heads.sharing * heads.queries
        counts = query_counts(heads, self.total)
        self.fits = bool(counts)
        busy = [count for count in counts if self._blocks(count) >= isa.multiprocessors]
        self.count = queries or max(busy, default=1)

    def _blocks(self, count: int) -> int:
        return self.heads.batch * self.heads.key_heads * -(-self.rows // count)

    def run(self) -> None:
        """All outputs."""
        if not self.fits:
            super().run()
            return
        heads = self.heads
        tasks = heads.batch * heads.key_heads
        for name in self.present:
            with T.parallel(0, tasks) as task:
                self._store_present(name, self._place(task))
        with grid((-(-self.rows // self.count), tasks), _THREADS) as ((block, task), thread):
            self.thread, self.place, self.first = thread, self._place(task), block * self.count
            self.lane, self.warp = tirx.indexmod(thread, _WARP), tirx.indexdiv(thread, _WARP)
            weights, factors = shared(self.count * heads.total, self.total), shared(self.count, self.total)
            self._score(weights)
            sync()
            self._softmax(weights, factors)
            sync()
            self._weigh(weights, factors)

    def _place(self, task: Expr) -> Place:
        return Place(tirx.indexdiv(task, self.heads.key_heads), tirx.indexmod(task, self.heads.key_heads))

    def _row(self, row: Expr) -> Expr:
        """A row of the block among those of all queries; the last blocks may have some of them twice."""
        own = self.first + row
        return tirx.min(own, self.rows - 1) if self.rows % self.count else own

    def _score(self, weights: Buffer) -> None:
        """Products of the block's queries with all keys: a thread has every so many-th key."""
        size, count = self.heads.size, self.count
        # Keys are far apart in memory, their elements are not.
        lanes = math.gcd(_LANES, size) if self.dtype == self.total == "float32" else 1
        queries = shared(count * size, self.total)
        row = SharedRow(count * size, Team(_THREADS, self.thread, _WARP))

        def copy(place: Expr, _: Expr) -> None:
            head, query = self.owner(self.place, self._row(tirx.indexdiv(place, size)))
            index = self.heads.at(self.place.batch, head, query, tirx.indexmod(place, size), size)
            factor = const(self.scores.scale, self.total)
            queries[place] = cast(self.reads["query"][index], self.total) * factor

        row.each(copy)
        sync()
        for part in self._parts("key", self.place):

            def multiply(key: Expr, _: Expr, part: Part = part) -> None:
                sums = self._sums(count)
                values, factors = private(lanes, self.total), private(lanes, self.total)
                with T.serial(0, size // lanes) as vector:
                    k = vector * lanes
                    values[span(0, lanes)] = cast(
                        part.read(key, span(k, lanes)), vector_of(self.total, lanes)
                    )
                    with T.unroll(0, count) as r:
                        factors[span(0, lanes)] = queries[span(r * size + k, lanes)]
                        with T.unroll(0, lanes) as lane:
                            sums[r] = sums[r] + factors[lane] * values[lane]
                with T.unroll(0, count) as r:
                    weights[r * self.heads.total + part.first + key] = sums[r]

            SharedRow(part.count, Team(_THREADS, self.thread, _WARP)).each(multiply)

    def _softmax(self, weights: Buffer, factors: Buffer) -> None:
        """Scores become what is to be multiplied with the values, but for a factor a row: a warp a row."""
        warps = _THREADS // _WARP
        self.row = self.whole_row = SharedRow(self.heads.total, Team(_WARP, self.lane, _WARP))
        with T.serial(0, -(-self.count // warps)) as step:
            row = step * warps + self.warp
            with only_if([row < self.count] if self.count % warps else []):
                owner = self.owner(self.place, self._row(row))
                line = Line(weights, row * self.heads.total, self.place.batch, *owner)
                self._mask(line)
                factor = private(1, self.total)
                factor[0] = self._exponentiate(line)
                factors[row] = factor[0]
                self._keep(3, line, factor[0])

    def _weigh(self, weights: Buffer, factors: Buffer) -> None:
        """Sums of weighted values: a thread has an element of a value, for some of the queries."""
        size, total = self.heads.value_size, self.heads.total
        teams = math.gcd(_THREADS // size, self.count) if _THREADS % size == 0 else 1
        each = self.count // teams
        team, member = (
            tirx.indexdiv(self.thread, _THREADS // teams),
            tirx.indexmod(self.thread, _THREADS // teams),
        )

        def weigh(element: Expr, _: Expr) -> None:
            sums = self._sums(each)
            for part in self._parts("value", self.place):
                with T.serial(0, part.count) as key:
                    value = self._held(part.read(key, element))
                    with T.unroll(0, each) as r:
                        weight = weights[(team * each + r) * total + part.first + key]
                        sums[r] = sums[r] + weight * value
            with T.unroll(0, each) as r:
                row = team * each + r
                head, query = self.owner(self.place, self._row(row))
                index = self.heads.at(self.place.batch, head, query, element, size)
                self.result[index] = cast(sums[r] * factors[row], self.dtype)

        SharedRow(size, Team(_THREADS // teams, member, _WARP)).each(weigh)

    def _sums(self, count: int) -> Buffer:
        sums = private(count, self.total)
        with T.unroll(0, count) as i:
            sums[i] = const(0, self.total)
        return sums

    def _held(self, value: Expr) -> Expr:
        held = private(1, self.total)
        held[0] = cast(value, self.total)
        return held[0]
