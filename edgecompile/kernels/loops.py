"""Loop nests written out by hand, where a compute definition would store what need not be stored.

A row is what one index of an activation runs over while the others stand still. `Row` reduces it in `LANES`
partial results, so that a sum or maximum becomes vector instructions (and rounds less than one running sum).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm import te, tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, element_type
from edgecompile.kernels.math import Expr

LANES = 8
# Accumulators of a matrix-vector product: four registers of eight lanes.
_COLUMNS = 32

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


def local(extent: int, dtype: str) -> Buffer:
    """A small array on the stack."""
    return T.buffer_proxy(T.alloc_buffer((extent,), dtype))


class Row:
    """One row of `extent` elements; `vector` says that its elements are next to each other in memory."""

    def __init__(self, extent: int, vector: bool) -> None:
        self.extent = extent
        self.lanes = LANES if vector and extent >= LANES else 1

    def each(self, body: Callable[[Expr, Expr], None]) -> None:
        """Emit `body(position, lane)` for all positions, `lanes` neighbours at a time."""
        whole, rest = divmod(self.extent, self.lanes)
        if self.lanes == 1:
            with T.serial(0, self.extent) as i:
                body(i, 0)
            return
        with T.serial(0, whole) as chunk, T.vectorized(0, self.lanes) as lane:
            body(chunk * self.lanes + lane, lane)
        if rest:
            with T.serial(0, rest) as i:
                body(whole * self.lanes + i, 0)

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
        with T.serial(0, self.lanes) as lane:
            partial[lane] = value

    def finish(self, partial: Buffer, combine: Callable[[Expr, Expr], Expr]) -> Expr:
        """Combine the partial results of all lanes into one."""
        with T.serial(1, self.lanes) as lane:
            partial[0] = combine(partial[0], partial[lane])
        return partial[0]


@dataclass(frozen=True)
class Term:
    """One matrix-vector product: sum over k < extent of vector(k) * matrix(k, column)."""

    extent: int
    vector: Callable[[Expr], Expr]
    matrix: Callable[[Expr, Expr], Expr]


def multiply(
    target: Buffer, offset: int, columns: range, start: Callable[[Expr], Expr], terms: Sequence[Term]
) -> None:
    """target[offset + i] = start(column) + the products of `terms` for the i-th of `columns`.

    A tile of columns at a time is accumulated in registers.
    """
    done = 0
    for width in (_COLUMNS, 8, 1):
        tiles = (len(columns) - done) // width
        if tiles:
            with T.serial(0, tiles) as tile:
                _multiply_tile(
                    target,
                    offset + done + tile * width,
                    columns.start + done + tile * width,
                    width,
                    start,
                    terms,
                )
        done += tiles * width


def _multiply_tile(
    target: Buffer, at: Expr, column: Expr, width: int, start: Callable[[Expr], Expr], terms: Sequence[Term]
) -> None:
    sums = local(width, str(target.dtype))
    with T.vectorized(0, width) as lane:
        sums[lane] = start(column + lane)
    for term in terms:
        with T.serial(0, term.extent) as k, T.vectorized(0, width) as lane:
            sums[lane] = sums[lane] + term.vector(k) * term.matrix(k, column + lane)
    with T.vectorized(0, width) as lane:
        target[at + lane] = sums[lane]
