"""Find HardSigmoid and HardSwish in their decompositions.

before: Clip(x + 3, 0, 6) / 6                  after: HardSigmoid(x, alpha=1/6, beta=1/2)
before: Clip(x / 6 + 1/2, 0, 1)                after: HardSigmoid(x, alpha=1/6, beta=1/2)
before: x * Clip(x + 3, 0, 6) / 6              after: HardSwish(x)
before: x * HardSigmoid(x, 1/6, 1/2)           after: HardSwish(x)

The factor 1/6 may stand anywhere, as Mul or Div; other spellings of the clip were made Clip before.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.matching import (
    ancestors,
    close,
    descendants,
    is_enclosed,
    polynomial,
    same_polynomial,
    scalar,
)
from edgecompile.passes.rewriting import become, opset_of, rewrite_nodes

_HARD_SWISH_OPSET = 14


class RecognizeHardSwish:
    """Replace decomposed HardSigmoid and HardSwish by the operators."""

    name = "recognize_hard_swish"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "HardSwish and HardSigmoid recognised", _hard_swish, _hard_sigmoid)


@dataclass(frozen=True)
class _Gate:
    """`value` * `scale` is clip(alpha * x + beta, 0, 1)."""

    x: ir.Value
    value: ir.Value
    scale: float
    alpha: float
    beta: float


def _hard_swish(node: ir.Node) -> bool:
    if opset_of(node) < _HARD_SWISH_OPSET:
        return False
    for gate in _gates(node):
        dtype = gate.x.dtype
        if close(gate.alpha, 1 / 6, dtype) and close(gate.beta, 0.5, dtype):
            last = _find(gate, (1, 1))
            if last is not None:
                become(last, "HardSwish", [gate.x])
                return True
    return False


def _hard_sigmoid(node: ir.Node) -> bool:
    if node.op_type != "Clip":
        return False
    for gate in _gates(node):
        last = _find(gate, (0, 1)) if gate.beta else None
        if last is not None:
            become(last, "HardSigmoid", [gate.x], {"alpha": gate.alpha, "beta": gate.beta})
            return True
    return False


def _find(gate: _Gate, power: tuple[int, int]) -> ir.Node | None:
    """The node computing scale * x^i * gate^j, when nothing between x and it is read elsewhere."""
    for result in descendants(gate.value):
        found = polynomial(result, [gate.x, gate.value])
        if same_polynomial(found, {power: gate.scale}, gate.x.dtype) and is_enclosed(result, [gate.x]):
            return result.producer()
    return None


def _gates(node: ir.Node) -> list[_Gate]:
    """The ways to read `node` as a hard sigmoid of some x, the one that explains most nodes first."""
    source, value = (node.inputs[0] if node.inputs else None), node.outputs[0]
    if source is None or node.domain:
        return []
    if node.op_type == "HardSigmoid":
        alpha, beta = node.attributes.get_float("alpha", 0.2), node.attributes.get_float("beta", 0.5)
        return [_Gate(source, value, 1.0, alpha, beta)]
    top = scalar(node.inputs[2]) if node.op_type == "Clip" and len(node.inputs) == 3 else None
    if top is None or top <= 0 or scalar(node.inputs[1]) != 0.0:
        return []
    gates = []
    for x in reversed(ancestors(source)):
        line = polynomial(source, [x])
        if line is not None and set(line) <= {(0,), (1,)}:
            alpha, beta = line.get((1,), 0.0) / top, line.get((0,), 0.0) / top
            gates.append(_Gate(x, value, 1 / top, alpha, beta))
    return gates
