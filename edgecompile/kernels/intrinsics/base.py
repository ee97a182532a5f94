"""What a micro-kernel is: the innermost tile of every matrix product and convolution.

A micro-kernel emits statements (inside an IRBuilder frame) that compute

    sums[row, column] = sum over k of x(row, k) * w(k, column)

for a tile of rows x columns. Rows are output pixels, columns are output channels. It decides how weights are
packed: in groups of `group` consecutive k for each column, so that one vector holds `group` products of
several columns (int8 dot products), or one product each (`group` = 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.loops import clear, each, span
from edgecompile.kernels.math import Expr

# x(row, at, lanes): elements at .. at + lanes - 1 of a row as a vector; a scalar for lanes = 1.
RowReader = Callable[[Expr, Expr, int], Expr]
# w(at, lanes): elements at .. at + lanes - 1 of this tile's packed weights, [k / group][column][k % group].
WeightReader = Callable[[Expr, int], Expr]


@dataclass(frozen=True)
class Scales:
    """Scales of weights of 4 bits: read(at, lanes) are those of columns, [k / block][column]."""

    block: int
    read: WeightReader


@dataclass(frozen=True)
class Operands:
    """One tile's operands.

    A row is a number of runs of `run` elements each: (extent, stride) in `jumps` are the loops around a run,
    outermost first, and how far apart in x their runs begin. In the weights all runs follow each other.
    `sums` is a local buffer of rows * columns accumulators, row-major, written as a whole. With `scales`, an
    element of the packed weights is a byte, and two k.
    """

    rows: int
    columns: int
    run: int
    x: RowReader
    w: WeightReader
    sums: Any
    jumps: tuple[tuple[int, int], ...] = ()
    scales: Scales | None = None

    @contextmanager
    def steps(self, size: int, first: int = 0, last: int | None = None) -> Iterator[tuple[Expr, Expr]]:
        """Loops over k in steps of `size`: over all runs, and from `first` to `last` in each.

        Yields the place in a row of x, and the same k counted over all runs.
        """
        last = self.run if last is None else last
        with each([extent for extent, _ in self.jumps]) as index:
            at: Expr = 0
            number: Expr = 0
            for i, (extent, stride) in zip(index, self.jumps, strict=True):
                at, number = at + i * stride, number * extent + i
            with T.serial(0, (last - first) // size) as step:
                k = first + step * size
                yield at + k, number * self.run + k

    def parts(self, loaded: int, part: int, step: Callable[[Expr, Expr, int, int], None]) -> None:
        """Emit step(at, k, elements, number) for every `part` k.

        `elements` of a row are loaded from `at` on, `loaded` as long as there are so many, else `part`, of
        which the step takes part number `number`; its weights are those from k on.
        """
        whole = self.run - self.run % loaded
        if whole:
            with self.steps(loaded, 0, whole) as (at, k):
                for number in range(loaded // part):
                    step(at, k + part * number, loaded, number)
        if self.run > whole:
            with self.steps(part, whole) as (at, k):
                step(at, k, part, 0)

    def spread(self, group: int, lanes: int, add: Callable[[Expr, Expr, Expr], Expr]) -> None:
        """Emit sums = add(sums, `group` elements of a row, weights) for vectors of `lanes` columns."""
        clear(self.sums, self.rows * self.columns, lanes)
        # Weights stay in registers, and each broadcast row goes with its last product.
        rows, vectors = T.unroll(0, self.rows), T.unroll(0, self.columns // lanes)
        with self.steps(group) as (at, k), rows as row, vectors as vector:
            place = span(row * self.columns + vector * lanes, lanes)
            weights = self.w(k * self.columns + vector * lanes * group, lanes * group)
            self.sums[place] = add(self.sums[place], self.x(row, at, group), weights)


class MicroKernel(Protocol):
    """One way to compute a tile. Columns of a tile are a multiple of `lanes`.

    `data` is the element type that x is read in; where it differs from that of the activations, rows are
    converted while they are gathered. `accumulator` is the element type of the sums. A run of x is a multiple
    of `group` elements.
    """

    @property
    def name(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def accumulator(self) -> str: ...
    @property
    def group(self) -> int: ...
    @property
    def lanes(self) -> int: ...

    def registers(self, rows: int, columns: int) -> int:
        """Vector registers that a tile needs at the same time."""
        ...

    def cycles(self, rows: int, columns: int) -> float:
        """Estimated cycles for one group of k of a tile; only comparisons between tiles matter."""
        ...

    def emit(self, tile: Operands) -> None:
        """Emit the statements that fill `tile.sums`."""
        ...
