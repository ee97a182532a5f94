"""The equations of the LSTM, GRU and RNN cells, and their activation functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgecompile.kernels import math
from edgecompile.kernels.compute_recurrent import Step
from edgecompile.kernels.loops import Buffer, Row, Term, multiply
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

    def emit(self, step: Step) -> None:
        """c = f c + i g, h = o act(c); with peepholes the gates see the cell state."""
        units, gates, cell = step.row.extent, step.gates, step.cell
        multiply(gates, 0, range(4 * units), step.bias, [step.data, step.recurrence])
        peephole = step.peephole
        if peephole is None:
            self._activate(gates, 0, 3 * units)
        else:
            for gate in (0, 2):
                _add_product(step, gate, peephole)
                self._activate(gates, gate * units, units)

        def update_cell(unit: Expr, _: Expr) -> None:
            keep = const(1, step.dtype) - gates[unit] if self.input_forget else gates[2 * units + unit]
            candidate = self.candidate(_clipped(gates[3 * units + unit], self.clip))
            cell[unit] = keep * cell[unit] + gates[unit] * candidate

        step.row.each(update_cell)
        if peephole is not None:
            _add_product(step, 1, peephole)
            self._activate(gates, units, units)

        def update_hidden(unit: Expr, _: Expr) -> None:
            step.hidden[unit] = gates[units + unit] * self.output(cell[unit])

        step.row.each(update_hidden)

    def _activate(self, gates: Buffer, start: int, count: int) -> None:
        _activate(gates, start, count, self.gate, self.clip)


@dataclass(frozen=True)
class GruCell:
    """ONNX GRU: activations of the gates and of the hidden candidate."""

    gate: Activation
    candidate: Activation
    clip: float | None
    linear_before_reset: bool

    @property
    def gates(self) -> int:
        return 4 if self.linear_before_reset else 3

    def emit(self, step: Step) -> None:
        """h = (1 - z) n + z h, where the reset gate scales the state before or after its product."""
        units, gates, hidden = step.row.extent, step.gates, step.hidden
        multiply(gates, 0, range(2 * units), step.bias, [step.data, step.recurrence])
        _activate(gates, 0, 2 * units, self.gate, self.clip)
        last = range(2 * units, 3 * units)
        if self.linear_before_reset:
            multiply(gates, 2 * units, last, step.bias, [step.data])
            multiply(gates, 3 * units, last, lambda j: step.recurrent_bias(j - 2 * units), [step.recurrence])
        else:
            step.row.each(lambda unit, _: _assign(gates, units + unit, gates[units + unit] * hidden[unit]))
            scaled = Term(units, lambda k: gates[units + k], step.recurrence.matrix)
            multiply(gates, 2 * units, last, step.bias, [step.data, scaled])

        def update(unit: Expr, _: Expr) -> None:
            value = gates[2 * units + unit]
            if self.linear_before_reset:
                value = value + gates[units + unit] * gates[3 * units + unit]
            new = self.candidate(_clipped(value, self.clip))
            hidden[unit] = (const(1, step.dtype) - gates[unit]) * new + gates[unit] * hidden[unit]

        step.row.each(update)


@dataclass(frozen=True)
class RnnCell:
    """ONNX RNN."""

    activation: Activation
    clip: float | None
    gates: int = 1

    def emit(self, step: Step) -> None:
        """h = act(x W + h R + bias)."""
        multiply(step.gates, 0, range(step.row.extent), step.bias, [step.data, step.recurrence])

        def update(unit: Expr, _: Expr) -> None:
            step.hidden[unit] = self.activation(_clipped(step.gates[unit], self.clip))

        step.row.each(update)


def _activate(gates: Buffer, start: int, count: int, function: Activation, clip: float | None) -> None:
    """Apply `function` to `count` gates in place."""

    def apply(unit: Expr, _: Expr) -> None:
        gates[start + unit] = function(_clipped(gates[start + unit], clip))

    Row(count, vector=True).each(apply)


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
