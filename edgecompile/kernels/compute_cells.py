"""The equations of the LSTM, GRU and RNN cells, and their activation functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgecompile.kernels import math
from edgecompile.kernels.compute_recurrent import Step, Term, multiply
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
        units = step.row.extent
        multiply(step.gates, 0, range(4 * units), step.bias, [step.data, step.recurrence])

        def gate(index: int, unit: Expr, peephole: int, cell: Expr) -> Expr:
            value = step.gates[index * units + unit]
            if step.peephole is not None:
                value = value + step.peephole(peephole * units + unit) * cell
            return self.gate(_clipped(value, self.clip))

        def update(unit: Expr, _: Expr) -> None:
            cell = step.cell[unit]
            candidate = self.candidate(_clipped(step.gates[3 * units + unit], self.clip))

            def next_cell(enter: Expr) -> Expr:
                keep = const(1, step.dtype) - enter if self.input_forget else gate(2, unit, 2, cell)
                return keep * cell + enter * candidate

            step.cell[unit] = let(gate(0, unit, 0, cell), next_cell)
            step.hidden[unit] = gate(1, unit, 1, step.cell[unit]) * self.output(step.cell[unit])

        step.row.each(update)


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
        units = step.row.extent
        multiply(step.gates, 0, range(2 * units), step.bias, [step.data, step.recurrence])
        last = range(2 * units, 3 * units)
        if self.linear_before_reset:
            multiply(step.gates, 2 * units, last, step.bias, [step.data])
            multiply(
                step.gates, 3 * units, last, lambda j: step.recurrent_bias(j - 2 * units), [step.recurrence]
            )
        else:
            step.row.each(lambda unit, _: self._reset_state(step, unit))
            scaled = Term(units, lambda k: step.gates[units + k], step.recurrence.matrix)
            multiply(step.gates, 2 * units, last, step.bias, [step.data, scaled])

        def update(unit: Expr, _: Expr) -> None:
            value = step.gates[2 * units + unit]
            if self.linear_before_reset:
                value = value + self._gate(step, units + unit) * step.gates[3 * units + unit]
            new = self.candidate(_clipped(value, self.clip))
            old = step.hidden[unit]
            one = const(1, step.dtype)
            step.hidden[unit] = let(self._gate(step, unit), lambda z: (one - z) * new + z * old)

        step.row.each(update)

    def _gate(self, step: Step, position: Expr) -> Expr:
        return self.gate(_clipped(step.gates[position], self.clip))

    def _reset_state(self, step: Step, unit: Expr) -> None:
        position = step.row.extent + unit
        step.gates[position] = self._gate(step, position) * step.hidden[unit]


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
    """An activation function of `x`, alpha and beta; None where it has no such parameter, else its default."""

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
    "leakyrelu": ActivationKind(lambda x, a, b: select(x < _number(0, x), x * _number(a, x), x), 0.01),
    "thresholdedrelu": ActivationKind(lambda x, a, b: select(x < _number(a, x), _number(0, x), x), 1.0),
    "scaledtanh": ActivationKind(lambda x, a, b: math.tanh(x * _number(b, x)) * _number(a, x), 1.0, 1.0),
    "hardsigmoid": ActivationKind(_hard_sigmoid, 0.2, 0.5),
    "elu": ActivationKind(lambda x, a, b: _elu(x, a), 1.0),
    "softsign": ActivationKind(lambda x, a, b: x / (math.absolute(x) + _number(1, x))),
    "softplus": ActivationKind(lambda x, a, b: _softplus(x)),
}
