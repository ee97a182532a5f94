"""LSTM, GRU and RNN on a GPU: one grid for what all steps need of the input, then a block for each sequence.

The threads of a block share the units of the layer. Each computes whole columns of the product with the
state, which is in the block's memory, and all wait for each other after every part of a step.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute_recurrent import Cell, Layer, Products, Sequences, Vector
from edgecompile.kernels.gpu.grid import grid, only_if, private, shared, sync
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.rows import SharedRow, Team
from edgecompile.kernels.loops import Buffer, local
from edgecompile.kernels.math import Expr, cast, const

_WARP, _THREADS, _MOST_THREADS = 32, 128, 512
# Rows of X W that a thread computes, as long as so many threads are left for each multiprocessor.
_MOST_ROWS, _BUSY_THREADS = 8, 256


def fits_a_block(cell: Cell, hidden: int, dtype: str, gpu: Gpu) -> bool:
    """Whether the state of a layer of `hidden` units, and the gates, have place in the memory of a block."""
    return (cell.gates + 2) * hidden * np.dtype(dtype).itemsize <= gpu.shared_bytes


class _BlockRow(SharedRow):
    """Elements that the threads of a block share out; all are done when one goes on."""

    def each(self, body: Callable[[Expr, Expr], None]) -> None:
        """Emit `body(position, 0)` for the thread's positions, and wait."""
        super().each(body)
        sync()


class GpuLayer(Layer):
    """Emits the grids of each direction."""

    def __init__(
        self,
        sequences: Sequences,
        products: Products,
        reads: dict[str, Buffer],
        total: str,
        dtype: str,
        isa: Isa,
    ) -> None:
        self.sequences, self.products, self.reads = sequences, products, reads
        self.total, self.dtype, self.isa = total, dtype, isa
        widest = max(part.columns for part in products.parts)
        self.threads = min(-(-widest // _WARP) * _WARP, _MOST_THREADS)

    def run(
        self, direction: int, cell: Cell, y: Buffer | None, y_hidden: Buffer | None, y_cell: Buffer | None
    ) -> None:
        sequences, hidden = self.sequences, self.sequences.hidden
        self.inputs = local(sequences.batch * sequences.steps * self.products.inputs.columns, self.total)
        self._multiply_all_inputs(direction)
        with grid((sequences.batch,), self.threads) as ((sample,), thread):
            self.team = Team(self.threads, thread, _WARP)
            self.row = self.make_row(hidden, True)
            self.hidden, self.cell = shared(hidden, self.total), shared(hidden, self.total)
            self.length = private(1, "int32")
            gates = shared(cell.gates * hidden, self.total)
            self._load("initial_hidden", self.hidden, direction, sample)
            self._load("initial_cell", self.cell, direction, sample)
            steps = self._steps(sample)
            with T.serial(0, steps) as t:
                at = self._time(direction, t, steps)
                cell.emit(self._step(direction, sample * sequences.steps + at, gates))
                self._write(y, lambda unit: sequences.output_index(at, direction, sample, unit), self.hidden)
            self._finish(direction, sample, steps, y, y_hidden, y_cell)

    def make_row(self, extent: int, vector: bool) -> SharedRow:
        return _BlockRow(extent, self.team)

    def _multiply_all_inputs(self, direction: int) -> None:
        """`inputs` [batch, steps, columns] = X W + bias: a thread has a column of some rows."""
        sequences, columns = self.sequences, self.products.inputs.columns
        total, each = sequences.batch * sequences.steps, 1
        while 2 * each <= min(_MOST_ROWS, total) and (
            total // (2 * each) * columns >= self.isa.multiprocessors * _BUSY_THREADS
        ):
            each *= 2
        threads = -(-total // each) * columns
        weights, bias = self.reads["weights"], self._vector("bias", direction)
        start = direction * self.products.inputs.elements

        def row_of(first: Expr, r: Expr) -> Expr:
            """The last thread may have some rows twice."""
            return tirx.min(first + r, total - 1) if total % each else first + r

        with grid((-(-threads // _THREADS),), _THREADS) as ((block,), thread):
            number = block * _THREADS + thread
            with only_if([number < threads] if threads % _THREADS else []):
                first, column = tirx.indexdiv(number, columns) * each, tirx.indexmod(number, columns)
                sums, weight = private(each, self.total), private(1, self.total)
                with T.unroll(0, each) as r:
                    sums[r] = cast(bias(column), self.total)
                with T.serial(0, sequences.features) as k:
                    weight[0] = weights[start + k * columns + column]
                    with T.unroll(0, each) as r:
                        row = row_of(first, r)
                        sample, step = (
                            tirx.indexdiv(row, sequences.steps),
                            tirx.indexmod(row, sequences.steps),
                        )
                        value = self.reads["data"][sequences.input_index(step, sample, k)]
                        sums[r] = sums[r] + cast(value, self.total) * weight[0]
                with T.unroll(0, each) as r:
                    self.inputs[row_of(first, r) * columns + column] = sums[r]

    def _multiply(
        self, direction: int, part: int, vector: Vector, store: Callable[[Expr, Expr], None]
    ) -> None:
        start, width = self._start(direction, part), self.products.parts[part].columns
        sum_ = private(1, self.total)

        def column(place: Expr, _: Expr) -> None:
            sum_[0] = const(0, self.total)
            with T.serial(0, self.sequences.hidden) as k:
                sum_[0] = sum_[0] + vector(k, 1) * self.reads["recurrence"][start + k * width + place]
            store(place, sum_[0])

        self.make_row(width, True).each(column)
