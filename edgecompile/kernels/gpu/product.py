"""Convolutions and dense layers as implicit matrix products on a GPU.

a block has `block` rows of the result and `columns` of its columns:
    for a step of k:
        all threads fetch the next step of the data (gathered from its windows) and of the weights
        each thread, or each warp, multiplies `rows` x `thread_columns` of what was fetched before
    threads of other slices hand over their sums
    the epilogue (bias, activation, residual) is applied and stored

The scheme is the usual one of tiling for shared memory and registers, with the fetch of a step ahead of its
use (V. Volkov, "Better performance at lower occupancy", 2010). Warps multiply by the instruction `mma.sync`
(NVIDIA, "PTX ISA", section "Warp Level Matrix Multiply-Accumulate Instructions").
"""

from __future__ import annotations

import math

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import unflatten
from edgecompile.kernels.compute_gemm import rows_of
from edgecompile.kernels.gpu.fetch import Block, DataFetch, WeightFetch
from edgecompile.kernels.gpu.grid import grid, only_if, private, shared, sync
from edgecompile.kernels.gpu.multiply import ThreadTile, Tile, WarpTile
from edgecompile.kernels.gpu.plan import GpuPlan
from edgecompile.kernels.loops import lane_loop
from edgecompile.kernels.math import Expr, const
from edgecompile.kernels.schedules.definition import Definition
from edgecompile.kernels.schedules.expressions import with_loops


def expand_product(function: tirx.PrimFunc, definition: Definition, plan: GpuPlan) -> tirx.PrimFunc:
    """`function` with its body replaced by the grid of the plan."""
    return with_loops(function, lambda: _Emitter(definition, plan).emit())


class _Emitter:
    """Emits the statements of one thread."""

    def __init__(self, definition: Definition, plan: GpuPlan) -> None:
        self.definition, self.plan = definition, plan
        self.shape = [int(extent) for extent in definition.result.ty.shape]
        self.m = rows_of(self.shape)

    def emit(self) -> None:
        """The grid."""
        plan = self.plan
        blocks = (plan.tiles, math.ceil(self.m / plan.block), plan.groups)
        with grid(blocks, plan.threads) as ((tile, block, group), thread):
            self.block = Block(tile, block * plan.block, group, thread)
            word = self.definition.accumulator if plan.group == 1 else "uint32"
            self.memory = shared(plan.shared_words, word)
            team = plan.threads // plan.slices
            self.slice, self.member = tirx.indexdiv(thread, team), tirx.indexmod(thread, team)
            self.sums = private(plan.sums, self.definition.accumulator)
            with T.unroll(0, plan.sums) as i:
                self.sums[i] = const(0, self.definition.accumulator)
            kind: type[Tile] = WarpTile if plan.arithmetic.by_warps else ThreadTile
            self.tile = kind(plan, self.memory, self.sums, self.slice, self.member)
            self._steps()
            self._add_slices()
            self.tile.each_result(self._store)

    def _steps(self) -> None:
        plan = self.plan
        weights_at = plan.words * plan.pitches[0]
        fetches = (
            DataFetch(plan, self.block, self.memory, self.definition),
            WeightFetch(plan, self.block, self.memory, weights_at, self.definition),
        )
        steps = plan.depth // plan.step
        for fetch in fetches:
            fetch.load(0)
        with T.serial(0, steps) as number:
            for fetch in fetches:
                fetch.store()
            sync()
            if steps > 1:
                with T.If(number + 1 < steps), T.Then():
                    for fetch in fetches:
                        fetch.load(number + 1)
            self.tile.multiply()
            sync()

    def _add_slices(self) -> None:
        """The first slice's sums become those of all."""
        plan = self.plan
        if plan.slices == 1:
            return
        memory, team = shared(plan.shared_sums, self.definition.accumulator), plan.threads // plan.slices
        size = plan.block * plan.columns
        with T.If(self.slice > 0), T.Then(), T.unroll(0, plan.sums) as i:
            memory[(self.slice - 1) * size + i * team + self.member] = self.sums[i]
        sync()
        with (
            T.If(self.slice < 1),
            T.Then(),
            T.serial(0, plan.slices - 1) as other,
            T.unroll(0, plan.sums) as i,
        ):
            self.sums[i] = self.sums[i] + memory[other * size + i * team + self.member]

    def _store(self, row: Expr, column: Expr, count: int, sums: Expr) -> None:
        """`count` neighbours of a row of the block, whose sums are those from `sums` on."""
        plan, result = self.plan, T.buffer_proxy(self.definition.result)
        lanes = math.gcd(count, plan.n)
        row = self.block.first_row + row
        for first in range(0, count, lanes):
            place = self.block.tile * plan.columns + column + first
            inside = [row < self.m] if self.m % plan.block else []
            inside += [place < plan.n] if plan.n % plan.columns else []
            inside += [self.slice < 1] if plan.slices > 1 else []
            with only_if(inside), lane_loop(lanes) as lane:
                index = (*unflatten(row, self.shape[:-1]), self.block.group * plan.n + place + lane)
                result[index] = self.definition.epilogue(index, self.sums[sums + first + lane])
