"""LSTM, GRU and RNN: one kernel with the time loop inside.

The weights are packed as [D, K, G*H] (direction, input, gate and unit), so that the inner loop of every
matrix-vector product runs over contiguous weights. Gates are in ONNX's order: iofc for LSTM, zrh for GRU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, accumulator, element_type
from edgecompile.kernels.loops import Buffer, Row, Term, each, local, nest
from edgecompile.kernels.math import Expr, at_least, at_most, cast, const

Activation = Callable[[Expr], Expr]


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
    """Tensors of a recurrent layer; `bias` is [D, G*H], other optional ones are None when left out.

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
    """What a cell sees of one step of one sequence: the products, and its state buffers [H]."""

    data: Term
    recurrence: Term
    bias: Callable[[Expr], Expr]
    recurrent_bias: Callable[[Expr], Expr]
    peephole: Callable[[Expr], Expr] | None
    hidden: Buffer
    cell: Buffer
    gates: Buffer
    row: Row
    dtype: str


class Cell(Protocol):
    """The equations of one step."""

    @property
    def gates(self) -> int:
        """Width of the gate buffer in multiples of H."""

    def emit(self, step: Step) -> None:
        """Update `step.hidden` (and `step.cell`)."""


def recurrent(
    operands: Operands, sequences: Sequences, cells: Sequence[Cell], wanted: tuple[bool, ...]
) -> list[Tensor]:
    """Run a cell a direction over all sequences; results are those `wanted` of Y, Y_h, Y_c.

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
        layer = _Layer(sequences, named, accumulator(dtype), dtype)
        for direction, cell in enumerate(cells):
            layer.run(direction, cell, y, y_hidden, y_cell)

    return nest("recurrent", [tensor for _, tensor in given], results, body)


class _Layer:
    """Emits the loops over samples and steps."""

    def __init__(self, sequences: Sequences, reads: dict[str, Buffer], total: str, dtype: str) -> None:
        self.sequences, self.reads, self.total, self.dtype = sequences, reads, total, dtype
        self.row = Row(sequences.hidden, vector=True)
        self.hidden, self.cell = local(sequences.hidden, total), local(sequences.hidden, total)
        self.length = local(1, "int32")

    def run(
        self, direction: int, cell: Cell, y: Buffer | None, y_hidden: Buffer | None, y_cell: Buffer | None
    ) -> None:
        """All sequences in one direction."""
        gates = local(cell.gates * self.sequences.hidden, self.total)
        with each((self.sequences.batch,)) as (sample,):
            self._load("initial_hidden", self.hidden, direction, sample)
            self._load("initial_cell", self.cell, direction, sample)
            steps = const(self.sequences.steps, "int32")
            if "lengths" in self.reads:
                length = cast(self.reads["lengths"][sample], "int32")
                self.length[0] = at_most(at_least(length, const(0, "int32")), steps)
                steps = self.length[0]
            with T.serial(0, steps) as t:
                at = steps - 1 - t if self.sequences.reverse[direction] else t
                cell.emit(self._step(direction, sample, at, gates))
                self._write(
                    y, lambda unit: self.sequences.output_index(at, direction, sample, unit), self.hidden
                )
            if y is not None and "lengths" in self.reads:
                with T.serial(0, self.sequences.steps - steps) as rest:
                    self._clear(y, steps + rest, direction, sample)
            for result, state in ((y_hidden, self.hidden), (y_cell, self.cell)):
                self._write(result, lambda unit: self.sequences.state_index(direction, sample, unit), state)

    def _step(self, direction: int, sample: Expr, at: Expr, gates: Buffer) -> Step:
        reads, hidden, total = self.reads, self.hidden, self.total
        data, sequences = reads["data"], self.sequences
        weights, recurrence = reads["weights"], reads["recurrence"]

        def vector(name: str) -> Callable[[Expr], Expr]:
            if name not in reads:
                return lambda column: const(0, total)
            return lambda column: reads[name][direction, column]

        return Step(
            Term(
                sequences.features,
                lambda k: cast(data[sequences.input_index(at, sample, k)], total),
                lambda k, column: weights[direction, k, column],
            ),
            Term(sequences.hidden, lambda k: hidden[k], lambda k, column: recurrence[direction, k, column]),
            vector("bias"),
            vector("recurrent_bias"),
            vector("peepholes") if "peepholes" in reads else None,
            hidden,
            self.cell,
            gates,
            self.row,
            total,
        )

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
