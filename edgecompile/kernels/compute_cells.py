"""The equations of the LSTM, GRU and RNN cells, and their activation functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgecompile.kernels import math
from edgecompile.kernels.compute_recurrent import Step, Vector
from edgecompile.kernels.loops import Buffer, span
from edgecompile.kernels.math import Expr, const, dtype_of, let, select

Activation = Callable[[Expr], Expr]


@dataclass(frozen=True)
class LstmCell:
    """ONNX LSTM: activations of the gates, of the cell's input and of its output."""

    gate: Activation
    candidate: Activation
    output: Activation
    clip: float | None
    input_forget: bool
    gates: int = 4
    parts: tuple[int, ...] = (4,)

    def emit(self, step: Step) -> None:
        """c = f c + i g, h = o act(c); with peepholes the gates see the cell state."""
        units, gates, cell = step.row.extent, step.gates, step.cell
        _add_state(step)
        peephole = step.peephole
        if peephole is None:
            _activate(step, range(3 * units), self.gate, self.clip)
        else:
            for gate in (0, 2):
                _add_product(step, gate, peephole)
                _activate(step, range(gate * units, (gate + 1) * units), self.gate, self.clip)

        def update_cell(unit: Expr, _: Expr) -> None:
            keep = const(1, step.dtype) - gates[unit] if self.input_forget else gates[2 * units + unit]
            candidate = self.candidate(_clipped(gates[3 * units + unit], self.clip))
            cell[unit] = keep * cell[unit] + gates[unit] * candidate

        step.row.each(update_cell)
        if peephole is not None:
            _add_product(step, 1, peephole)
            _activate(step, range(units, 2 * units), self.gate, self.clip)

        def update_hidden(unit: Expr, _: Expr) -> None:
            step.hidden[unit] = gates[units + unit] * self.output(cell[unit])

        step.row.each(update_hidden)


@dataclass(frozen=True)
class GruCell:
    """ONNX GRU: activations of the gates and of the hidden candidate."""

    gate: Activation
    candidate: Activation
    clip: float | None
    linear_before_reset: bool
    gates: int = 3
    parts: tuple[int, ...] = (2, 1)

    def emit(self, step: Step) -> None:
        """h = (1 - z) n + z h, where the reset gate scales the state before or after its product."""
        units, gates, hidden = step.row.extent, step.gates, step.hidden
        _add_state(step)
        _activate(step, range(2 * units), self.gate, self.clip)
        if self.linear_before_reset:
            self._multiply(step, step.state, step.recurrent_bias)
        else:
            step.row.each(lambda unit, _: _assign(gates, units + unit, gates[units + unit] * hidden[unit]))
            self._multiply(
                step,
                lambda k, lanes: gates[span(units + k, lanes)],
                lambda unit: step.inputs(2 * units + unit),
            )

        def update(unit: Expr, _: Expr) -> None:
            value = gates[2 * units + unit]
            if self.linear_before_reset:
                value = step.inputs(2 * units + unit) + gates[units + unit] * value
            new = self.candidate(_clipped(value, self.clip))
            hidden[unit] = (const(1, step.dtype) - gates[unit]) * new + gates[unit] * hidden[unit]

        step.row.each(update)

    def _multiply(self, step: Step, vector: Vector, addend: Callable[[Expr], Expr]) -> None:
        """The third gate: the candidate's weights times `vector`, plus `addend`."""
        start = 2 * step.row.extent
        step.multiply(1, vector, lambda unit, total: _assign(step.gates, start + unit, total + addend(unit)))


@dataclass(frozen=True)
class RnnCell:
    """ONNX RNN."""

    activation: Activation
    clip: float | None
    gates: int = 1
    parts: tuple[int, ...] = (1,)

    def emit(self, step: Step) -> None:
        """h = act(x W + h R + bias)."""
        _add_state(step)

        def update(unit: Expr, _: Expr) -> None:
            step.hidden[unit] = self.activation(_clipped(step.gates[unit], self.clip))

        step.row.each(update)


def _add_state(step: Step) -> None:
    """The gates of the first part: what comes from the input and from the state."""
    step.multiply(
        0, step.state, lambda column, total: _assign(step.gates, column, step.inputs(column) + total)
    )


def _activate(step: Step, columns: range, function: Activation, clip: float | None) -> None:
    """Apply `function` to neighbouring gates in place."""

    def apply(column: Expr, _: Expr) -> None:
        place = columns.start + column
        step.gates[place] = function(_clipped(step.gates[place], clip))

    step.make_row(len(columns), True).each(apply)


def _add_product(step: Step, gate: int, peephole: Callable[[Expr], Expr]) -> None:
    """Add the cell state, seen through the peephole weights, to a gate."""
    start = gate * step.row.extent

    def add(unit: Expr, _: Expr) -> None:
        step.gates[start + unit] = step.gates[start + unit] + peephole(start + unit) * step.cell[unit]

    step.row.each(add)


def _assign(buffer: Buffer, index: Expr, value: Expr) -> None:
    buffer[index] = value


def _clipped(value: Expr, limit: float | None) -> Expr:
    if limit is None:
        return value
    dtype = dtype_of(value)
    return math.at_most(math.at_least(value, const(-limit, dtype)), const(limit, dtype))


def _number(value: float, like: Expr) -> Expr:
    return const(value, dtype_of(like))


def _elu(x: Expr, alpha: float) -> Expr:
    return select(x < _number(0, x), (math.exp(x) - _number(1, x)) * _number(alpha, x), x)


def _softplus(x: Expr) -> Expr:
    """log(1 + e^x), as max(x, 0) + log1p(e^-|x|), which does not overflow."""
    return math.at_least(x, _number(0, x)) + math.log1p(math.exp(-math.absolute(x)))


def _hard_sigmoid(x: Expr, alpha: float, beta: float) -> Expr:
    line = x * _number(alpha, x) + _number(beta, x)
    return math.at_most(math.at_least(line, _number(0, x)), _number(1, x))


@dataclass(frozen=True)
class ActivationKind:
    """A function of x, alpha and beta. A parameter is None where there is no such, else its default."""

    function: Callable[[Expr, float, float], Expr]
    alpha: float | None = None
    beta: float | None = None


def activation(name: str, alpha: float, beta: float) -> Activation:
    """The function called `name` (any case) with its parameters bound; its argument is computed once."""
    kind = ACTIVATIONS[name.lower()]
    return lambda x: let(x, lambda value: kind.function(value, alpha, beta))


# By lower-case name, as ONNX's recurrent operators call them.
ACTIVATIONS: dict[str, ActivationKind] = {
    "relu": ActivationKind(lambda x, a, b: math.at_least(x, _number(0, x))),
    "tanh": ActivationKind(lambda x, a, b: math.tanh(x)),
    "sigmoid": ActivationKind(lambda x, a, b: math.sigmoid(x)),
    "affine": ActivationKind(lambda x, a, b: x * _number(a, x) + _number(b, x), 1.0, 0.0),
    "leakyrelu": ActivationKind(lambda x, a, b: select(x < _number(0, x), _number(a, x) * x, x), 0.01),
    "thresholdedrelu": ActivationKind(lambda x, a, b: select(x < _number(a, x), _number(0, x), x), 1.0),
    "scaledtanh": ActivationKind(lambda x, a, b: math.tanh(x * _number(b, x)) * _number(a, x), 1.0, 1.0),
    "hardsigmoid": ActivationKind(_hard_sigmoid, 0.2, 0.5),
    "elu": ActivationKind(lambda x, a, b: _elu(x, a), 1.0),
    "softsign": ActivationKind(lambda x, a, b: x / (math.absolute(x) + _number(1, x))),
    "softplus": ActivationKind(lambda x, a, b: _softplus(x)),
}
