"""Loop nests written out by hand, where a compute definition would store what need not be stored.

A row is what one index of an activation runs over while the others stand still. `Row` reduces it in `LANES`
partial results, so that a sum or maximum becomes vector instructions (and rounds less than one running sum).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tvm import te, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, element_type, unflatten
from edgecompile.kernels.math import Expr, cast, const

LANES = 8
# Elements that one vector copy moves.
_COPY_LANES = 16

# The name of the call that stands for a part of the workspace until lowering.
WORKSPACE = "edgecompile_workspace"

# Buffers behave as nested arrays: buffer[i, j] is an element, and can be assigned to.
Buffer = Any


def nest(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[tuple[Sequence[int], str]],
    body: Callable[[list[Buffer], list[Buffer]], None],
) -> list[Tensor]:
    """Tensors computed by the statements that `body` emits for (input buffers, output buffers).

    `outputs` are (shape, dtype); statements run in the order they are emitted.
    """

    def emit(reads: Sequence[Any], writes: Sequence[Any]) -> Any:
        with IRBuilder() as builder:
            with T.seq_scope():
                body([T.buffer_proxy(r) for r in reads], [T.buffer_proxy(w) for w in writes])
            return builder.get().body  # without the attribute that held the statements together

    shapes, dtypes = [tuple(shape) for shape, _ in outputs], [dtype for _, dtype in outputs]
    built = te.extern(
        shapes,
        list(inputs),
        emit,
        name=name,
        dtype=dtypes,
        in_buffers=[_buffer(t.shape, element_type(t), "read") for t in inputs],
        out_buffers=[_buffer(shape, dtype, "write") for shape, dtype in zip(shapes, dtypes, strict=True)],
    )
    return [built] if isinstance(built, te.Tensor) else list(built)


def _buffer(shape: Any, dtype: str, name: str) -> Any:
    """A dense buffer at offset 0 (te's own default has a symbolic offset)."""
    return tirx.decl_buffer(shape, dtype, name, layout=None)


@contextmanager
def each(extents: Sequence[int]) -> Iterator[tuple[Expr, ...]]:
    """Loops over a box, outermost first; yields the index."""
    if not extents:
        yield ()
    elif len(extents) == 1:
        with T.serial(0, extents[0]) as i:
            yield (i,)
    else:
        with T.grid(*extents) as index:
            yield tuple(index)


@contextmanager
def each_alone(extents: Sequence[int]) -> Iterator[tuple[Expr, ...]]:
    """As `each`, for iterations that do not depend on each other: threads may share them out."""
    with T.parallel(0, math.prod(extents)) as number:
        yield tuple(unflatten(number, extents)) if extents else ()


def local(extent: int, dtype: str) -> Buffer:
    """A small array on the stack."""
    return T.buffer_proxy(T.alloc_buffer((extent,), dtype))


def flat_view(buffer: Any) -> Buffer:
    """The elements of a dense buffer under one index."""
    elements = math.prod(int(extent) for extent in buffer.shape)
    return T.buffer_proxy(T.decl_buffer((elements,), str(buffer.dtype), data=buffer.data))


def copy_run(target: Buffer, to: Expr, source: Buffer, start: Expr, count: int) -> None:
    """target[to + i] = source[start + i] (converted) for i < count."""
    dtype = str(target.dtype)
    _each_of_run(target, to, count, lambda i: cast(source[start + i], dtype))


def fill_run(target: Buffer, to: Expr, count: int, value: int) -> None:
    """target[to + i] = value for i < count."""
    constant = const(value, str(target.dtype))
    _each_of_run(target, to, count, lambda i: constant)


def _each_of_run(target: Buffer, to: Expr, count: int, element: Callable[[Expr], Expr]) -> None:
    vectors, left = divmod(count, _COPY_LANES)
    if vectors:
        with T.serial(0, vectors) as vector, T.vectorized(0, _COPY_LANES) as lane:
            at = vector * _COPY_LANES + lane
            target[to + at] = element(at)
    done = count - left
    for lanes in powers_of_two(left, _COPY_LANES):
        with lane_loop(lanes) as lane:
            target[to + done + lane] = element(done + lane)
        done += lanes


def powers_of_two(count: int, most: int) -> list[int]:
    """`count` as pieces of `most`, and what is left as falling powers of two."""
    pieces, left = [most] * (count // most), count % most
    while left:
        pieces.append(1 << (left.bit_length() - 1))
        left -= pieces[-1]
    return pieces


def choose(conditions: Sequence[Expr], then: Callable[[], None], otherwise: Callable[[], None]) -> None:
    """Emit `then` where all conditions hold, else `otherwise`."""
    if not conditions:
        then()
        return
    with T.If(tirx.all(*conditions)):
        with T.Then():
            then()
        with T.Else():
            otherwise()


def span(start: Expr, lanes: int) -> Expr:
    """The index of `lanes` elements from `start` on, as one vector."""
    return start if lanes == 1 else tirx.Ramp(start, 1, lanes)


def vector_of(dtype: str, lanes: int) -> str:
    """The type of `lanes` elements in one vector."""
    return dtype if lanes == 1 else f"{dtype}x{lanes}"


def lane_loop(lanes: int) -> Any:
    """The loop over the lanes of a vector; a plain one for a single element."""
    return T.vectorized(0, lanes) if lanes > 1 else T.serial(0, 1)


def clear(buffer: Buffer, extent: int, lanes: int) -> None:
    """Set `extent` elements to 0, `lanes` at a time."""
    with T.unroll(0, extent // lanes) as vector, T.vectorized(0, lanes) as lane:
        buffer[vector * lanes + lane] = tirx.const(0, str(buffer.dtype))


def workspace_pointer(nbytes: int) -> Expr:
    """The address of `nbytes` bytes of the caller's workspace, which lowering sets aside (`WORKSPACE`)."""
    return T.call_extern("handle", WORKSPACE, nbytes)


class Row:
    """One row of `extent` elements; `vector` says that its elements are next to each other in memory.

    Up to `lanes` (a power of two) neighbours are worked on at a time.
    """

    def __init__(self, extent: int, vector: bool, lanes: int = LANES) -> None:
        self.extent = extent
        self.lanes = min(lanes, 1 << (max(extent, 1).bit_length() - 1)) if vector else 1

    def each(self, body: Callable[[Expr, Expr], None]) -> None:
        """Emit `body(position, lane)` for all positions, `lanes` neighbours at a time, then what is left."""
        whole = self.extent // self.lanes
        if whole:
            with T.serial(0, whole) as chunk:
                self._vector(chunk * self.lanes, self.lanes, body)
        done = whole * self.lanes
        for lanes in powers_of_two(self.extent - done, self.lanes):
            self._vector(done, lanes, body)
            done += lanes

    def each_in(self, extents: Sequence[int], body: Callable[[tuple[Expr, ...], Expr], None]) -> None:
        """Emit `body(index, lane)` for all elements of a box whose last axis is the row."""
        with each(extents[:-1]) as outer:
            self.each(lambda position, lane: body((*outer, position), lane))

    def _vector(self, start: Expr, lanes: int, body: Callable[[Expr, Expr], None]) -> None:
        if lanes == 1:
            body(start, 0)
            return
        with T.vectorized(0, lanes) as lane:
            body(start + lane, lane)

    def reduce(
        self,
        partial: Buffer,
        start: Expr,
        combine: Callable[[Expr, Expr], Expr],
        element: Callable[[Expr], Expr],
    ) -> Expr:
        """Combine `element(position)` over the row; `partial` holds at least `lanes` elements."""
        self.fill(partial, start)

        def step(position: Expr, lane: Expr) -> None:
            partial[lane] = combine(partial[lane], element(position))

        self.each(step)
        return self.finish(partial, combine)

    def fill(self, partial: Buffer, value: Expr) -> None:
        """Set the partial results of all lanes."""
        if self.lanes == 1:
            partial[0] = value
            return
        with T.vectorized(0, self.lanes) as lane:
            partial[lane] = value

    def pick(self, result: Buffer, lane: Expr) -> Expr:
        """The row's own one of the results that `finish` left."""
        return result[0]

    def each_result(self, body: Callable[[Expr], None]) -> None:
        """Emit `body(lane)` where there are results after `finish`."""
        body(0)

    def finish(self, partial: Buffer, combine: Callable[[Expr, Expr], Expr]) -> Expr:
        """Combine the partial results of all lanes into one, half of them at a time."""
        width = self.lanes // 2
        while width:
            with lane_loop(width) as lane:
                partial[lane] = combine(partial[lane], partial[lane + width])
            width //= 2
        return partial[0]


class Column(Row):
    """`lanes` neighbouring rows that run across memory; each lane is a row of its own."""

    def __init__(self, extent: int, lanes: int) -> None:
        super().__init__(extent, vector=False)
        self.lanes = lanes

    def each(self, body: Callable[[Expr, Expr], None]) -> None:
        """Emit `body(position, lane)` for all positions and rows."""
        with T.serial(0, self.extent) as position, lane_loop(self.lanes) as lane:
            body(position, lane)

    def pick(self, result: Buffer, lane: Expr) -> Expr:
        return result[lane]

    def each_result(self, body: Callable[[Expr], None]) -> None:
        with lane_loop(self.lanes) as lane:
            body(lane)

    def finish(self, partial: Buffer, combine: Callable[[Expr, Expr], Expr]) -> Expr:
        """Nothing is left to combine; returns the first row's result."""
        return partial[0]


# Makes a row of so many elements; whether they are next to each other is as for `Row`.
MakeRow = Callable[[int, bool], Row]


class RowLoops:
    """How a kernel goes through rows: each by itself, `lanes` neighbours of a row at a time."""

    def __init__(self, lanes: int = LANES) -> None:
        self.lanes = lanes

    @contextmanager
    def each(self, extents: Sequence[int], length: int) -> Iterator[tuple[tuple[Expr, ...], MakeRow]]:
        """A loop over a box of rows of `length` elements; yields a row's index in it, and what makes it."""
        with T.parallel(0, math.prod(extents)) as number:
            index = tuple(unflatten(number, extents)) if extents else ()
            yield index, lambda extent, vector: Row(extent, vector, self.lanes)

    def each_line(self, outer: int, extent: int, inner: int, body: Callable[[Row, Expr], None]) -> None:
        """Emit `body(row, start)` for all lines along the middle axis of a box.

        A line's elements are `inner` apart from `start` on. Neighbouring lines are worked on together.
        """
        with self.each((outer,), extent) as ((line,), make_row):
            start = line * extent * inner
            if inner == 1:
                body(make_row(extent, True), start)
                return
            whole = inner // self.lanes
            if whole:
                with T.serial(0, whole) as step:
                    body(Column(extent, self.lanes), start + step * self.lanes)
            done = whole * self.lanes
            for width in powers_of_two(inner - done, self.lanes):
                body(Column(extent, width), start + done)
                done += width
