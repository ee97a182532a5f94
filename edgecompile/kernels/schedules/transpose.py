"""Transposition in vector registers: both sides of memory are touched in whole vectors.

The tensor is seen as matrices [rows, columns] that become [columns, rows]. Where one of the extents is small,
like the channels of an image, its vectors are interleaved or taken apart. Otherwise square blocks are
transposed by rounds of perfect shuffles. What is computed from each element, a conversion or an activation,
is applied to the transposed vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import tirx
from tvm.ir.expr import TensorLoad
from tvm.script.ir_builder import tirx as T
from tvm_ffi.structural import structural_map, structural_walk

from edgecompile.core.target import Isa
from edgecompile.kernels.loops import Buffer, flat_view, lane_loop, local, span
from edgecompile.kernels.math import Expr
from edgecompile.kernels.schedules.expressions import mentions, with_loops
from edgecompile.kernels.schedules.loop_plan import LoopPlan, Order

# Blocks larger than this would not fit into the registers of any machine.
_MAX_BLOCK = 16
# Extents below this are interleaved: it takes one shuffle less than the extent for each vector.
_FEW = 8
# What a plan may ask for: a few rows or columns in whole vectors, square blocks, or the general schedule.
_INTERLEAVE, _APART, _BLOCKS, LOOPS = "interleave", "take apart", "blocks", "loops"


@dataclass(frozen=True)
class Transposition:
    """`source` as `batch` matrices [rows, columns] becomes [columns, rows] in `result`.

    `apply` is what is computed from an element.
    """

    source: Any
    result: Any
    batch: int
    rows: int
    columns: int
    apply: Callable[[Expr], Expr]


def find_transposition(block: Any) -> Transposition | None:
    """What a spatial block computes, if it is a transposition and something of each element by itself."""
    variables = [v.var for v in block.iter_vars]
    loads: list[Any] = []
    structural_walk(block.body, [(TensorLoad, loads.append)])
    if not loads or not all(load.source.same_as(loads[0].source) for load in loads):
        return None
    orders = {tuple(_position(index, variables) for index in load.indices) for load in loads}
    extents = [int(v.dom.extent) for v in block.iter_vars]
    store, order = block.body, orders.pop()
    stored = [_position(index, variables) for index in store.indices]
    if orders or sorted(order) != list(range(len(variables))) or stored != sorted(order):
        return None
    split = _swapped_groups(order)
    if split is None:
        return None
    start, middle = split

    def apply(value: Expr) -> Expr:
        return structural_map(store.value, [(TensorLoad, lambda _: value)])

    if mentions(apply(tirx.const(0, str(loads[0].ty.dtype))), *variables):
        return None
    columns, rows = math.prod(extents[start:middle]), math.prod(extents[middle:])
    return Transposition(loads[0].source, store.buffer, math.prod(extents[:start]), rows, columns, apply)


def _position(index: Any, variables: Sequence[Any]) -> int:
    """Which of the variables an index is; -1 if it is none."""
    return next((i for i, variable in enumerate(variables) if variable.same_as(index)), -1)


def _swapped_groups(order: Sequence[int]) -> tuple[int, int] | None:
    """(s, m) for the order 0 .. s-1, m .. n-1, s .. m-1, both groups not empty; None for any other order."""
    start = next((i for i, axis in enumerate(order) if axis != i), len(order))
    if start == len(order):
        return None
    middle = order[start]
    expected = [*range(start), *range(middle, len(order)), *range(start, middle)]
    return (start, middle) if list(order) == expected else None


def expand_transposition(
    function: tirx.PrimFunc, block: Any, isa: Isa, plan: LoopPlan
) -> tirx.PrimFunc | None:
    """`function`, which has only this block, in vectors; None where that does not apply or is not planned."""
    found = _find_in_vectors(block, isa)
    if found is None or plan.form == LOOPS:
        return None
    task, lanes = found
    return with_loops(function, lambda: _Emitter(task, plan.lanes or lanes, plan).emit())


def transposition_plans(block: Any, isa: Isa) -> list[LoopPlan]:
    """The ways that are worth measuring; none where `block` is no transposition in vectors."""
    found = _find_in_vectors(block, isa)
    if found is None:
        return []
    task, _ = found
    sizes = [1 << bit for bit in range(1, _MAX_BLOCK.bit_length())]
    few = [
        LoopPlan(lanes=lanes, form=form)
        for form, count, along in ((_INTERLEAVE, task.rows, task.columns), (_APART, task.columns, task.rows))
        for lanes in sizes
        if count < _FEW and lanes <= along
    ]
    orders: tuple[Order, ...] = ("columns", "rows")
    blocks = [
        LoopPlan(order=order, lanes=size, form=_BLOCKS)
        for size in sizes
        for order in orders
        if size <= min(task.rows, task.columns)
    ]
    return few + blocks


def _find_in_vectors(block: Any, isa: Isa) -> tuple[Transposition, int] | None:
    """A transposition that vectors are good for, and the lanes of one."""
    found = find_transposition(block) if isa.vector_bits and isa.intrinsics else None
    if found is None:
        return None
    bits = int(tvm_ffi.dtype(str(found.source.ty.dtype)).bits)
    # A square block needs as many registers as it has lanes, and some to work with.
    lanes = min(isa.vector_bits // bits, _MAX_BLOCK, isa.registers // 2)
    if lanes < 2 or min(found.rows, found.columns) < 2 or max(found.rows, found.columns) < lanes:
        return None
    return found, lanes


class _Emitter:
    def __init__(self, task: Transposition, lanes: int, plan: LoopPlan) -> None:
        self.task, self.lanes, self.plan = task, lanes, plan
        self.dtype = str(task.source.ty.dtype)

    def emit(self) -> None:
        """All matrices."""
        task = self.task
        self.source, self.result = flat_view(task.source), flat_view(task.result)
        emit = {_INTERLEAVE: self._interleave, _APART: self._take_apart, _BLOCKS: self._blocks}[self._form()]
        with T.serial(0, task.batch) as matrix:
            emit(matrix * (task.rows * task.columns))

    def _form(self) -> str:
        task = self.task
        if self.plan.form is not None:
            return self.plan.form
        if task.rows < _FEW and task.columns >= self.lanes:
            return _INTERLEAVE
        return _APART if task.columns < _FEW and task.rows >= self.lanes else _BLOCKS

    def _interleave(self, start: Expr) -> None:
        """Few rows: `lanes` columns of all of them become that many neighbours each."""
        task, lanes = self.task, self.lanes
        whole = task.columns // lanes
        with T.serial(0, whole) as step:
            first = step * lanes
            parts = self._load([start + row * task.columns + first for row in range(task.rows)])
            picks = [
                [(at % task.rows) * lanes + at // task.rows for at in range(i * lanes, (i + 1) * lanes)]
                for i in range(task.rows)
            ]
            places = [start + first * task.rows + i * lanes for i in range(task.rows)]
            self._pick(parts, picks, places)
        self._scalar(start, range(task.rows), range(whole * lanes, task.columns))

    def _take_apart(self, start: Expr) -> None:
        """Few columns: `lanes` neighbouring rows become a vector of each column."""
        task, lanes = self.task, self.lanes
        whole = task.rows // lanes
        with T.serial(0, whole) as step:
            first = step * lanes
            parts = self._load([start + first * task.columns + i * lanes for i in range(task.columns)])
            picks = [[lane * task.columns + i for lane in range(lanes)] for i in range(task.columns)]
            places = [start + i * task.rows + first for i in range(task.columns)]
            self._pick(parts, picks, places)
        self._scalar(start, range(whole * lanes, task.rows), range(task.columns))

    def _blocks(self, start: Expr) -> None:
        """Square blocks as large as both extents and a vector allow."""
        task = self.task
        size = min(self.lanes, 1 << (min(task.rows, task.columns).bit_length() - 1))
        down, across = task.rows // size, task.columns // size
        by_rows = self.plan.order == "rows"
        with T.serial(0, down if by_rows else across) as i, T.serial(0, across if by_rows else down) as j:
            column, row = (j * size, i * size) if by_rows else (i * size, j * size)
            buffers = local(size * size, self.dtype), local(size * size, self.dtype)
            for k in range(size):
                place = start + (row + k) * task.columns + column
                buffers[0][span(k * size, size)] = self.source[span(place, size)]
            final = _shuffle_rounds(buffers, size)
            for k in range(size):
                self._store(start + (column + k) * task.rows + row, final, k * size, size)
        self._scalar(start, range(down * size, task.rows), range(across * size))
        self._scalar(start, range(task.rows), range(across * size, task.columns))

    def _load(self, places: Sequence[Expr]) -> list[Expr]:
        """Vectors from memory, each loaded once."""
        parts = local(len(places) * self.lanes, self.dtype)
        for i, place in enumerate(places):
            parts[span(i * self.lanes, self.lanes)] = self.source[span(place, self.lanes)]
        return [parts[span(i * self.lanes, self.lanes)] for i in range(len(places))]

    def _pick(self, parts: Sequence[Expr], picks: Sequence[Sequence[int]], places: Sequence[Expr]) -> None:
        """Store, for each list of `picks`, a vector of those elements of all `parts` to its place."""
        lanes = self.lanes
        buffer = local(len(picks) * lanes, self.dtype)
        for i, wanted in enumerate(picks):
            total = parts[0]
            for number, part in enumerate(parts):
                own = [w % lanes if number == 0 else lane for lane, w in enumerate(wanted)]
                new = [
                    lanes + w % lanes if w // lanes == number else o for w, o in zip(wanted, own, strict=True)
                ]
                total = tirx.Shuffle([total], own) if number == 0 else tirx.Shuffle([total, part], new)
            buffer[span(i * lanes, lanes)] = total
            self._store(places[i], buffer, i * lanes, lanes)

    def _store(self, place: Expr, buffer: Buffer, start: int, lanes: int) -> None:
        with lane_loop(lanes) as lane:
            self.result[place + lane] = self.task.apply(buffer[start + lane])

    def _scalar(self, start: Expr, rows: range, columns: range) -> None:
        """What no vector covers."""
        if not rows or not columns:
            return
        task = self.task
        with T.serial(columns.start, columns.stop) as column, T.serial(rows.start, rows.stop) as row:
            value = self.source[start + row * task.columns + column]
            self.result[start + column * task.rows + row] = task.apply(value)


def _shuffle_rounds(buffers: tuple[Buffer, Buffer], size: int) -> Buffer:
    """Transpose size x size elements by log2(size) perfect shuffles of rows; returns where they are then.

    Each round interleaves row i with row i + size / 2 into rows 2i and 2i + 1.
    """
    source, target = buffers
    low = [half + lane for lane in range(size // 2) for half in (0, size)]
    high = [index + size // 2 for index in low]
    for _ in range(size.bit_length() - 1):
        for i in range(size // 2):
            pair = [source[span(row * size, size)] for row in (i, i + size // 2)]
            target[span(2 * i * size, size)] = tirx.Shuffle(pair, low)
            target[span((2 * i + 1) * size, size)] = tirx.Shuffle(pair, high)
        source, target = target, source
    return source
