"""How the operands of a product come into the memory of a block: a step of k at a time, as words.

A word holds one number, or as many bytes or halves as an instruction multiplies at a time. What a thread
fetches stays in its registers until all threads are done with the step before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Window, flatten, unflatten
from edgecompile.kernels.compute_gemm import rows_of
from edgecompile.kernels.gpu.grid import only_if, private
from edgecompile.kernels.gpu.plan import MMA_HALVES, GpuPlan
from edgecompile.kernels.loops import Buffer, choose, flat_view, span
from edgecompile.kernels.math import Expr, cast, const
from edgecompile.kernels.schedules.definition import Definition

_VECTOR = 4
_WORD_BYTES = 4
# Neighbours in k that neighbouring threads fetch: 32 bytes, as much as memory is read at a time.
_NEAR = 8
# Blocks of fewer rows fetch row by row: otherwise ptxas was seen to spill registers for some of them.
_SPREAD_ROWS = 32


@dataclass(frozen=True)
class Block:
    """What a block works on: tile `tile` of a group's columns, from a row on, by `thread`."""

    tile: Expr
    first_row: Expr
    group: Expr
    thread: Expr


class Fetch:
    """Brings items of `lanes` elements from global memory to the block's: `load`, a step ahead of `store`.

    `joined` says that an item is one vector in global memory; else each element is read by itself.
    """

    def __init__(
        self, plan: GpuPlan, block: Block, memory: Buffer, items: int, lanes: int, dtype: str, joined: bool
    ) -> None:
        self.plan, self.block, self.memory = plan, block, memory
        self.items, self.lanes, self.joined = items, lanes, joined
        self.count = math.ceil(items / plan.threads)
        self.held = private(self.count * lanes, dtype)
        self.outside = const(0, dtype)

    def read(self, item: Expr, step: Expr, lane: int) -> tuple[list[Expr], Expr]:
        """What must hold for an element of a step to exist (else it is `outside`), and its value.

        Of all elements if they are `joined`.
        """
        raise NotImplementedError

    def put(self, item: Expr, held: Expr) -> None:
        """Store the item whose elements are held from place `held` on."""
        raise NotImplementedError

    def load(self, step: Expr) -> None:
        """The items of a step from global memory into registers."""
        with T.unroll(0, self.count) as i:
            item = self.block.thread + i * self.plan.threads
            for lane in range(1 if self.joined else self.lanes):
                inside, value = self.read(item, step, lane)
                self._hold(i * self.lanes + lane, [*self._exists(item), *inside], value)

    def store(self) -> None:
        """From registers into the memory of the block."""
        with T.unroll(0, self.count) as i:
            item = self.block.thread + i * self.plan.threads
            with only_if(self._exists(item)):
                self.put(item, i * self.lanes)

    def _exists(self, item: Expr) -> list[Expr]:
        return [item < self.items] if self.items % self.plan.threads else []

    def _hold(self, at: Expr, conditions: list[Expr], value: Expr) -> None:
        lanes = self.lanes if self.joined else 1

        def fetch() -> None:
            self.held[span(at, lanes)] = value

        def clear() -> None:
            with T.unroll(0, lanes) as lane:
                self.held[at + lane] = self.outside

        choose(conditions, fetch, clear)


class WeightFetch(Fetch):
    """Packed weights, which lie in global memory as they are needed; in the block's from word `first` on."""

    def __init__(
        self, plan: GpuPlan, block: Block, memory: Buffer, first: int, definition: Definition
    ) -> None:
        weights, dtype = definition.weights, str(memory.dtype)
        joined = plan.group > 1 or str(weights.ty.dtype) == dtype
        super().__init__(plan, block, memory, plan.words * plan.columns // _VECTOR, _VECTOR, dtype, joined)
        self.weights = _as_words(weights) if plan.group > 1 else T.buffer_proxy(weights)
        self.first = first
        tile_words = plan.columns * (plan.depth // plan.group)
        self.base = block.group * (plan.group_elements // plan.group) + block.tile * tile_words

    def read(self, item: Expr, step: Expr, lane: int) -> tuple[list[Expr], Expr]:
        at = self.base + step * (self.plan.words * self.plan.columns) + item * _VECTOR + lane
        value = self.weights[span(at, _VECTOR if self.joined else 1)]
        return [], value if self.joined else cast(value, str(self.held.dtype))

    def put(self, item: Expr, held: Expr) -> None:
        across, pitch = self.plan.columns // _VECTOR, self.plan.pitches[1]
        k, column = tirx.indexdiv(item, across), tirx.indexmod(item, across) * _VECTOR
        self.memory[span(self.first + k * pitch + column, _VECTOR)] = self.held[span(held, _VECTOR)]


class DataFetch(Fetch):
    """Rows of the data, gathered from their windows; neighbours in k together where they are in memory.

    Bytes are read as whole words where words do not reach from one tap into the next (`unit` elements at a
    place); otherwise `pack` elements are put together to a word.
    """

    def __init__(self, plan: GpuPlan, block: Block, memory: Buffer, definition: Definition) -> None:
        data, word = definition.data, str(memory.dtype)
        dtype, extents = str(data.ty.dtype), [int(extent) for extent in data.ty.shape]
        self.channels = extents[-1] // plan.groups
        is_bytes = plan.group == _WORD_BYTES
        self.unit = _WORD_BYTES if is_bytes and self.channels % _WORD_BYTES == 0 else 1
        self.pack = plan.group // self.unit
        self.channels //= self.unit
        self.extents = [*extents[:-1], extents[-1] // self.unit]
        self.step, self.k, self.depth = (size // self.unit for size in (plan.step, plan.k, plan.depth))
        held = dtype if self.pack > 1 else word
        joined = self.unit > 1 or (dtype == held and self.channels % self.pack == 0)
        lanes = math.gcd(_VECTOR, self.channels, self.step) if joined else self.pack
        self.each_row = self.step // lanes
        spread = math.gcd(self.each_row, max(1, _NEAR // lanes))
        self.near = spread if plan.block >= _SPREAD_ROWS else self.each_row
        super().__init__(plan, block, memory, plan.block * self.each_row, lanes, held, joined)
        self.data = _as_words(data) if self.unit > 1 else flat_view(data)
        self.shape = [int(extent) for extent in definition.result.ty.shape]
        self.m = rows_of(self.shape)
        self.outside = const(plan.pad if self.unit == 1 else _four_times(plan.pad), held)

    def read(self, item: Expr, step: Expr, lane: int) -> tuple[list[Expr], Expr]:
        own, part = place_of(item, self.near, self.plan.block)
        row, k = self.block.first_row + own, step * self.step + part * self.lanes + lane
        inside = [row < self.m] if self.m % self.plan.block else []
        inside += [k < self.k] if self.k != self.depth else []
        bounds, at = self._place(row, k)
        value = self.data[span(at, self.lanes if self.joined else 1)]
        return [*inside, *bounds], value if self.joined else cast(value, str(self.held.dtype))

    def put(self, item: Expr, held: Expr) -> None:
        row, part = place_of(item, self.near, self.plan.block)
        first, pitch = part * self.lanes, self.plan.pitches[0]
        for word in range(self.lanes // self.pack):
            k = tirx.indexdiv(first, self.pack) + word
            self.memory[k * pitch + row] = self._word(held + word * self.pack)

    def _word(self, at: Expr) -> Expr:
        if self.pack == 1:
            return self.held[at]
        parts = [self.held[at + i] for i in range(self.pack)]
        if self.plan.arithmetic is MMA_HALVES:
            return T.call_extern("uint32", "edgecompile_halves", *parts)
        byte = const(255, "uint32")
        moved = [(cast(part, "uint32") & byte) << const(8 * i, "uint32") for i, part in enumerate(parts)]
        return moved[0] | moved[1] | moved[2] | moved[3]

    def _place(self, row: Expr, k: Expr) -> tuple[list[Expr], Expr]:
        """What must hold for element k of a row to be inside of the data, and where it is there."""
        window = self.plan.window
        position = unflatten(row, self.shape[:-1])
        if window is None:
            return [], flatten((*position, k), self.extents)
        tap, channel = tirx.indexdiv(k, self.channels), tirx.indexmod(k, self.channels)
        spatial = window.position(position[1:], unflatten(tap, window.kernel))
        bounds = [check for axis, at in enumerate(spatial) for check in self._bounds(window, axis, at)]
        own = self.block.group * self.channels + channel
        return bounds, flatten((position[0], *spatial, own), self.extents)

    def _bounds(self, window: Window, axis: int, at: Expr) -> list[Expr]:
        extent = self.extents[1:-1][axis]
        low = [at >= 0] if window.pads[axis] else []
        return [*low, at < extent] if window.highest(axis, self.shape[1:-1][axis]) >= extent else low


def place_of(item: Expr, near: int, rows: int) -> tuple[Expr, Expr]:
    """The row of an item among those of a block, and which part of its step that is.

    Threads that are neighbours have `near` neighbours of a row, then those of the next rows: these are in
    other banks of the block's memory, where the same row's next k are not.
    """
    first, others = tirx.indexmod(item, near), tirx.indexdiv(item, near)
    return tirx.indexmod(others, rows), tirx.indexdiv(others, rows) * near + first


def _as_words(buffer: Buffer) -> Buffer:
    """The elements of a dense buffer as words, under one index."""
    elements = math.prod(int(extent) for extent in buffer.shape)
    words = elements * np.dtype(str(buffer.dtype)).itemsize // _WORD_BYTES
    return T.buffer_proxy(T.decl_buffer((words,), "uint32", data=buffer.data))


def _four_times(byte: int) -> int:
    return (byte & 255) * 0x01010101
