"""LSTM, GRU and RNN: one kernel with the time loop inside.

What a step needs of the input, X W, is computed for a block of steps at once, by the micro-kernel for matrix
products; the products with the state are those of one row. Weights are packed for them (`Products`). Gates
are in ONNX's order: iofc for LSTM, zrh for GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute import Tensor, accumulator, element_type
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.loops import Buffer, MakeRow, Row, each, lane_loop, local, nest, span, vector_of
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr, at_least, at_most, cast, const
from edgecompile.kernels.products import Panels, multiply_rows, product_kernel
from edgecompile.kernels.schedules.gemm_plan import choose_register_tile

Activation = Callable[[Expr], Expr]
# Elements k .. k + lanes - 1 of a vector.
Vector = Callable[[Expr, int], Expr]
# Steps of X W that are worth computing at once even if they do not stay in the first cache.
_STEPS = 8
_ELEMENT_BYTES = 4


@dataclass(frozen=True)
class Sequences:
    """Extents of a recurrent layer; `reverse` has one entry a direction.

    `batch_first` is ONNX's layout=1: X [B, T, I] instead of [T, B, I], and results accordingly.
    """

    steps: int
    batch: int
    features: int
    hidden: int
    reverse: tuple[bool, ...]
    batch_first: bool

    @property
    def directions(self) -> int:
        return len(self.reverse)

    def input_index(self, step: Expr, sample: Expr, feature: Expr) -> tuple[Expr, ...]:
        """Index into X."""
        return (sample, step, feature) if self.batch_first else (step, sample, feature)

    def state_index(self, direction: Expr, sample: Expr, unit: Expr) -> tuple[Expr, ...]:
        """Index into initial_h, Y_h and the like."""
        return (sample, direction, unit) if self.batch_first else (direction, sample, unit)

    def output_index(self, step: Expr, direction: Expr, sample: Expr, unit: Expr) -> tuple[Expr, ...]:
        """Index into Y."""
        if self.batch_first:
            return (sample, step, direction, unit)
        return (step, direction, sample, unit)

    def state_shape(self) -> tuple[int, ...]:
        return self.state_index(self.directions, self.batch, self.hidden)

    def output_shape(self) -> tuple[int, ...]:
        return self.output_index(self.steps, self.directions, self.batch, self.hidden)


@dataclass(frozen=True)
class Operands:
    """Tensors of a recurrent layer; `weights` and `recurrence` are as `Products` packs them.

    `bias` is [D, G*H]. Optional ones are None when left out.

    `recurrent_bias` [D, H] is the part of a GRU's bias that the reset gate multiplies; `peepholes` [D, 3*H].
    """

    data: Tensor
    weights: Tensor
    recurrence: Tensor
    bias: Tensor | None = None
    recurrent_bias: Tensor | None = None
    peepholes: Tensor | None = None
    lengths: Tensor | None = None
    initial_hidden: Tensor | None = None
    initial_cell: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """What a cell sees of one step of one sequence: products, and its state buffers [H].

    `inputs(column)` is X W and the bias; `multiply(part, vector, store)` emits store(column, sum) for all
    columns of a part of the recurrence's weights, with `sum` being their product with `vector(k, lanes)`.
    """

    inputs: Callable[[Expr], Expr]
    multiply: Callable[[int, Vector, Callable[[Expr, Expr], None]], None]
    recurrent_bias: Callable[[Expr], Expr]
    peephole: Callable[[Expr], Expr] | None
    hidden: Buffer
    cell: Buffer
    gates: Buffer
    row: Row
    make_row: MakeRow
    dtype: str

    def state(self, k: Expr, lanes: int) -> Expr:
        """The hidden state as a vector."""
        return self.hidden[span(k, lanes)]


class Cell(Protocol):
    """The equations of one step. All extents are in multiples of H."""

    @property
    def gates(self) -> int:
        """Width of the gate buffer."""

    @property
    def parts(self) -> tuple[int, ...]:
        """Columns of the weights, by the products with the state that are computed one after the other."""

    def emit(self, step: Step) -> None:
        """Update `step.hidden` (and `step.cell`)."""


@dataclass(frozen=True)
class Products:
    """How a layer's products are computed and its weights packed; `block` steps of X W at a time."""

    kernel: MicroKernel
    row_lanes: int
    rows: int
    block: int
    inputs: Panels
    parts: tuple[Panels, ...]

    @staticmethod
    def choose(sequences: Sequences, cell: Cell, isa: Isa, dtype: str) -> Products:
        """By the machine's registers and caches, for sums of type `dtype`."""
        kernel, machine = product_kernel(isa, dtype), Machine.of(isa)
        hidden, steps, features = sequences.hidden, max(1, sequences.steps), sequences.features
        columns = sum(cell.parts) * hidden
        if isa.multiprocessors:
            whole = (Panels(hidden, width * hidden, width * hidden, 1) for width in cell.parts)
            return Products(kernel, 1, 1, steps, Panels(features, columns, columns, 1), tuple(whole))
        most = max(1, machine.l1_bytes // 2 // (columns * _ELEMENT_BYTES))
        rows, tile = choose_register_tile(kernel, machine, min(steps, max(most, _STEPS)), columns, features)
        if machine.l1_bytes == 0:
            rows, tile = 1, choose_register_tile(kernel, machine, 1, columns, features)[1]
        block = min(steps, max(rows, most) if machine.l1_bytes else 1)
        block = -(-steps // -(-steps // block))

        def part(width: int) -> Panels:
            own = choose_register_tile(kernel, machine, 1, width, hidden)[1]
            return Panels(hidden, width, own, kernel.lanes)

        parts = tuple(part(width * hidden) for width in cell.parts)
        inputs = Panels(features, columns, tile, kernel.lanes)
        return Products(kernel, machine.row_lanes, rows, block, inputs, parts)

    def pack(self, weights: np.ndarray, recurrence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """ONNX's W and R, [D, columns, K], packed one direction after the other."""
        ends = np.cumsum([part.columns for part in self.parts])
        inputs = [self.inputs.packed(own.T) for own in weights]
        states = [
            panels.packed(own.T[:, end - panels.columns : end])
            for own in recurrence
            for panels, end in zip(self.parts, ends, strict=True)
        ]
        return np.concatenate(inputs), np.concatenate(states)


def recurrent(
    operands: Operands,
    sequences: Sequences,
    cells: Sequence[Cell],
    products: Products,
    wanted: tuple[bool, ...],
    emit: Callable[..., Layer] | None = None,
) -> list[Tensor]:
    """Run a cell a direction over all sequences; results are those `wanted` of Y, Y_h, Y_c.

    `emit` makes what emits the loops, by default those for a CPU.

    Steps beyond a sequence's length leave the state alone and write 0 to Y. A reverse direction begins
    with the last step of each sequence.
    """
    dtype = element_type(operands.data)
    shapes = (sequences.output_shape(), sequences.state_shape(), sequences.state_shape())
    results = [(shape, dtype) for shape, want in zip(shapes, wanted, strict=True) if want]
    given = [(name, tensor) for name, tensor in vars(operands).items() if tensor is not None]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        named = dict(zip((name for name, _ in given), reads, strict=True))
        outputs = iter(writes)
        y, y_hidden, y_cell = (next(outputs) if want else None for want in wanted)
        layer = (emit or Layer)(sequences, products, named, accumulator(dtype), dtype)
        for direction, cell in enumerate(cells):
            layer.run(direction, cell, y, y_hidden, y_cell)

    return nest("recurrent", [tensor for _, tensor in given], results, body)


class Layer:
    """Emits the loops over samples and steps."""

    def __init__(
        self, sequences: Sequences, products: Products, reads: dict[str, Buffer], total: str, dtype: str
    ) -> None:
        self.sequences, self.products, self.reads = sequences, products, reads
        self.total, self.dtype = total, dtype
        self.row = self.make_row(sequences.hidden, True)
        self.hidden, self.cell = local(sequences.hidden, total), local(sequences.hidden, total)
        self.inputs = local(products.block * products.inputs.columns, total)
        self.length = local(1, "int32")

    def run(
        self, direction: int, cell: Cell, y: Buffer | None, y_hidden: Buffer | None, y_cell: Buffer | None
    ) -> None:
        """All sequences in one direction."""
        gates, size = local(cell.gates * self.sequences.hidden, self.total), self.products.block
        with each((self.sequences.batch,)) as (sample,):
            self._load("initial_hidden", self.hidden, direction, sample)
            self._load("initial_cell", self.cell, direction, sample)
            steps = self._steps(sample)
            with T.serial(0, tirx.indexdiv(steps + (size - 1), size)) as block:
                first = block * size
                self._multiply_inputs(direction, sample, first, steps)
                with T.serial(0, tirx.min(size, steps - first)) as t:
                    at = self._time(direction, first + t, steps)
                    cell.emit(self._step(direction, t, gates))
                    self._write(
                        y, lambda unit: self.sequences.output_index(at, direction, sample, unit), self.hidden
                    )
            self._finish(direction, sample, steps, y, y_hidden, y_cell)

    def make_row(self, extent: int, vector: bool) -> Row:
        """How to go through `extent` units, gates or columns."""
        return Row(extent, vector, self.products.row_lanes)

    def _finish(
        self,
        direction: int,
        sample: Expr,
        steps: Expr,
        y: Buffer | None,
        y_hidden: Buffer | None,
        y_cell: Buffer | None,
    ) -> None:
        """What is left to write when a sequence ends."""
        if y is not None and "lengths" in self.reads:
            with T.serial(0, self.sequences.steps - steps) as rest:
                self._clear(y, steps + rest, direction, sample)
        for result, state in ((y_hidden, self.hidden), (y_cell, self.cell)):
            self._write(result, lambda unit: self.sequences.state_index(direction, sample, unit), state)

    def _steps(self, sample: Expr) -> Expr:
        """How many steps the sequence of a sample has."""
        steps = const(self.sequences.steps, "int32")
        if "lengths" not in self.reads:
            return steps
        length = cast(self.reads["lengths"][sample], "int32")
        self.length[0] = at_most(at_least(length, const(0, "int32")), steps)
        return self.length[0]

    def _time(self, direction: int, t: Expr, steps: Expr) -> Expr:
        """Where the t-th step is in time."""
        return steps - 1 - t if self.sequences.reverse[direction] else t

    def _multiply_inputs(self, direction: int, sample: Expr, first: Expr, steps: Expr) -> None:
        """`inputs` = X W + bias for a block of steps; those beyond the last are computed from any other."""
        products, sequences = self.products, self.sequences
        bias = self._vector("bias", direction)
        exact = "lengths" not in self.reads and sequences.steps % products.block == 0

        def data(row: Expr, k: Expr, lanes: int) -> Expr:
            at = self._time(direction, first + row, steps)
            inside = at if exact else tirx.max(tirx.min(at, sequences.steps - 1), 0)
            index = sequences.input_index(inside, sample, k)
            value = self.reads["data"][(*index[:-1], span(k, lanes))]
            return cast(value, vector_of(self.total, lanes))

        def store(row: Expr, column: Expr, lanes: int, total: Callable[[Expr], Expr]) -> None:
            with lane_loop(lanes) as lane:
                place = row * products.inputs.columns + column + lane
                self.inputs[place] = total(lane) + bias(column + lane)

        weights = products.inputs.matrix(self.reads["weights"], direction * products.inputs.elements)
        multiply_rows(products.kernel, products.rows, products.block, data, weights, store)

    def _vector(self, name: str, direction: int) -> Callable[[Expr], Expr]:
        """A row of an optional operand; 0 without it."""
        if name not in self.reads:
            return lambda column: const(0, self.total)
        return lambda column: self.reads[name][direction, column]

    def _step(self, direction: int, t: Expr, gates: Buffer) -> Step:
        """The step whose products with the input are row `t` of `inputs`."""
        return Step(
            lambda column: self.inputs[t * self.products.inputs.columns + column],
            partial(self._multiply, direction),
            self._vector("recurrent_bias", direction),
            self._vector("peepholes", direction) if "peepholes" in self.reads else None,
            self.hidden,
            self.cell,
            gates,
            self.row,
            self.make_row,
            self.total,
        )

    def _multiply(
        self, direction: int, part: int, vector: Vector, store: Callable[[Expr, Expr], None]
    ) -> None:
        """See `Step.multiply`."""
        products = self.products

        def store_lanes(_: Expr, column: Expr, lanes: int, total: Callable[[Expr], Expr]) -> None:
            with lane_loop(lanes) as lane:
                store(column + lane, total(lane))

        matrix = products.parts[part].matrix(self.reads["recurrence"], self._start(direction, part))
        multiply_rows(products.kernel, 1, 1, lambda _, k, lanes: vector(k, lanes), matrix, store_lanes)

    def _start(self, direction: int, part: int) -> int:
        """Where a part of the recurrence's weights begins."""
        sizes = [panels.elements for panels in self.products.parts]
        return direction * sum(sizes) + sum(sizes[:part])

    def _load(self, name: str, state: Buffer, direction: int, sample: Expr) -> None:
        def load(unit: Expr, _: Expr) -> None:
            index = self.sequences.state_index(direction, sample, unit)
            given = name in self.reads
            state[unit] = cast(self.reads[name][index], self.total) if given else const(0, self.total)

        self.row.each(load)

    def _write(self, result: Buffer | None, at: Callable[[Expr], tuple[Expr, ...]], state: Buffer) -> None:
        if result is None:
            return
        target = result

        def write(unit: Expr, _: Expr) -> None:
            target[at(unit)] = cast(state[unit], self.dtype)

        self.row.each(write)

    def _clear(self, y: Buffer, at: Expr, direction: int, sample: Expr) -> None:
        def clear(unit: Expr, _: Expr) -> None:
            y[self.sequences.output_index(at, direction, sample, unit)] = const(0, self.dtype)

        self.row.each(clear)
