"""Kernels of blocks, element by element: a thread computes one element of a result, its sums in registers.

A long reduction into few elements is shared out among the threads of a warp, which then combine what they
have; or among warps, where neighbouring elements and not the terms of one lie side by side in memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import s_tir, tirx
from tvm.ir.expr import TensorLoad
from tvm.script.ir_builder import tirx as T
from tvm_ffi.structural import structural_map, structural_walk

from edgecompile.kernels.compute import unflatten
from edgecompile.kernels.gpu.grid import combine_in_warp, grid, only_if, private, shared, sync
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.loops import each
from edgecompile.kernels.math import Expr
from edgecompile.kernels.schedules.blocks import same_shape
from edgecompile.kernels.schedules.definition import result_of
from edgecompile.kernels.schedules.expressions import mentions, sequence, substitute, with_loops

_THREADS = 128
# Below so many threads for each multiprocessor a reduction is shared out, if it is at least so long.
_FEW_THREADS = 256
_LONG = 64
# The same for terms that lie apart in memory, and how many threads then share out those of a warp's elements.
_LONG_COLUMN, _COLUMN_THREADS = 32, 256
_COMBINES = (tirx.Add, tirx.Max, tirx.Min, tirx.Mul)


@dataclass(frozen=True)
class _Stage:
    """A block, and the block that reads its result element by element, if any."""

    block: Any
    reader: Any | None = None


def expand_blocks(
    function: tirx.PrimFunc, schedule: s_tir.Schedule, blocks: Sequence[Any], gpu: Gpu
) -> tirx.PrimFunc | None:
    """Every block of one store as a grid of its own, between statements of other blocks as they are.

    None for a kernel that is no sequence of blocks.
    """
    if not blocks:
        return None
    stages = _stages(schedule, blocks)
    owned = list(schedule.mod["main"].body.block.alloc_buffers)
    merged = [schedule.get(stage.block).writes[0].source for stage in stages if stage.reader is not None]
    between = [buffer for buffer in owned if not any(buffer.same_as(gone) for gone in merged)]
    grids = [_grid_of(function, schedule, stage, gpu) for stage in stages]
    return function.with_body(sequence([*map(tirx.AllocBuffer, between), *grids]))


def _grid_of(function: tirx.PrimFunc, schedule: s_tir.Schedule, stage: _Stage, gpu: Gpu) -> tirx.Stmt:
    body = schedule.get(stage.block).body
    if not isinstance(body, tirx.BufferStore):
        return body
    return with_loops(function, lambda: _emit(schedule, stage, gpu)).body


def _stages(schedule: s_tir.Schedule, blocks: Sequence[Any]) -> list[_Stage]:
    names = [schedule.get(block).name_hint for block in blocks]
    joined: dict[str, Any] = {}
    for block, name in zip(blocks, names, strict=True):
        consumers = schedule.get_consumers(block)
        if schedule.get(block).init is None or len(consumers) != 1:
            continue
        # A reader of further results has to wait for all of them.
        if len(schedule.get_producers(consumers[0])) == 1 and same_shape(schedule, block, consumers[0]):
            joined[name] = consumers[0]
    readers = {schedule.get(reader).name_hint for reader in joined.values()}
    return [
        _Stage(block, joined.get(name))
        for block, name in zip(blocks, names, strict=True)
        if name not in readers
    ]


def _emit(schedule: s_tir.Schedule, stage: _Stage, gpu: Gpu) -> None:
    body = schedule.get(stage.block)
    extents = [int(v.dom.extent) for v in body.iter_vars if v.iter_type == 0]
    reduced = [int(v.dom.extent) for v in body.iter_vars if v.iter_type]
    elements, terms = math.prod(extents), math.prod(reduced)
    target, epilogue = result_of(schedule, stage.block, stage.reader)
    store = _Store(body, extents, reduced, T.buffer_proxy(target), epilogue)
    few = elements < gpu.multiprocessors * _FEW_THREADS and isinstance(body.body.value, _COMBINES)
    if few and terms >= _LONG_COLUMN and elements >= gpu.warp and not _reads_neighbours(body):
        store.by_columns(elements, terms, gpu.warp)
    elif few and terms >= _LONG:
        store.by_warps(elements, terms, gpu.warp)
    else:
        store.by_threads(elements)


def _reads_neighbours(body: Any) -> bool:
    """Whether the terms of an element lie side by side in memory, at least in one operand."""
    reduced, written = [v.var for v in body.iter_vars if v.iter_type], body.writes[0].source
    loads: list[Any] = []
    structural_walk(body.body.value, [(TensorLoad, loads.append)])
    last = [load.indices[-1] for load in loads if not load.source.same_as(written) and len(load.indices)]
    return any(mentions(index, variable) for index in last for variable in reduced)


@dataclass(frozen=True)
class _Store:
    """The statement of a block: what it computes, and where that goes."""

    body: Any
    extents: Sequence[int]
    reduced: Sequence[int]
    target: Any
    epilogue: Callable[[Sequence[Expr], Expr], Expr]

    def by_threads(self, elements: int) -> None:
        """One thread an element."""
        with grid((-(-elements // _THREADS),), _THREADS) as ((block,), thread):
            number = block * _THREADS + thread
            with only_if([number < elements] if elements % _THREADS else []):
                index = unflatten(number, self.extents) if self.extents else []
                if self.body.init is None:
                    self._finish(index, self._value(index, [], None))
                    return
                total = self._start(index)
                with each(self.reduced) as places:
                    total[0] = self._value(index, places, total[0])
                self._finish(index, total[0])

    def by_warps(self, elements: int, terms: int, warp: int) -> None:
        """One warp an element: each thread has every so many-th term."""
        rows = _THREADS // warp
        with grid((-(-elements // rows),), _THREADS) as ((block,), thread):
            lane, place = tirx.indexmod(thread, warp), tirx.indexdiv(thread, warp)
            number = tirx.min(block * rows + place, elements - 1)
            index = unflatten(number, self.extents) if self.extents else []
            total = self._start(index)
            with T.serial(0, -(-terms // warp)) as step:
                term = step * warp + lane
                with only_if([term < terms] if terms % warp else []):
                    total[0] = self._value(index, unflatten(term, self.reduced), total[0])
            combine_in_warp(total, type(self.body.body.value), warp)
            exists = [block * rows + place < elements] if elements % rows else []
            with only_if([tirx.EQ(lane, 0), *exists]):
                self._finish(index, total[0])

    def by_columns(self, elements: int, terms: int, warp: int) -> None:
        """A block for as many neighbouring elements as a warp has threads; its warps share out the terms."""
        warps = _COLUMN_THREADS // warp
        with grid((-(-elements // warp),), _COLUMN_THREADS) as ((block,), thread):
            lane, own = tirx.indexmod(thread, warp), tirx.indexdiv(thread, warp)
            index = unflatten(tirx.min(block * warp + lane, elements - 1), self.extents)
            total = self._start(index)
            with T.serial(0, -(-terms // warps)) as step:
                term = step * warps + own
                with only_if([term < terms] if terms % warps else []):
                    total[0] = self._value(index, unflatten(term, self.reduced), total[0])
            partial = shared(_COLUMN_THREADS, str(total.dtype))
            partial[thread] = total[0]
            sync()
            exists = [block * warp + lane < elements] if elements % warp else []
            with only_if([own < 1, *exists]):
                with T.serial(1, warps) as other:
                    total[0] = type(self.body.body.value)(total[0], partial[other * warp + lane])
                self._finish(index, total[0])

    def _start(self, index: Sequence[Expr]) -> Any:
        total = private(1, str(self.body.writes[0].source.ty.dtype))
        total[0] = self._bound(self.body.init.value, index, [0] * len(self.reduced))
        return total

    def _value(self, index: Sequence[Expr], places: Sequence[Expr], total: Expr | None) -> Expr:
        value = self._bound(self.body.body.value, index, places)
        if total is None:
            return value
        written = self.body.writes[0].source
        load = lambda access: total if access.source.same_as(written) else access  # noqa: E731
        return structural_map(value, [(TensorLoad, load)])

    def _bound(self, value: Expr, index: Sequence[Expr], places: Sequence[Expr]) -> Expr:
        own, other = iter(index), iter(places)
        values = [next(own) if v.iter_type == 0 else next(other) for v in self.body.iter_vars]
        return substitute(value, [v.var for v in self.body.iter_vars], values)

    def _finish(self, index: Sequence[Expr], total: Expr) -> None:
        # A block may write at a place that it computes.
        place = [self._bound(at, index, [0] * len(self.reduced)) for at in self.body.body.indices]
        self.target[tuple(place)] = self.epilogue(place, total)
