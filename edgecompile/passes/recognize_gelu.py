"""Find GELU in its decompositions.

before: Erf(x / sqrt(2)) -> Add 1 -> Mul x -> Mul 0.5                              (any order and grouping)
after:  Gelu(x)
before: Tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)) -> Add 1 -> Mul x -> Mul 0.5
after:  Gelu(x, approximate="tanh")

Definitions: ONNX operator Gelu (opset 20); D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units", 2016.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.matching import (
    Polynomial,
    ancestors,
    descendants,
    is_enclosed,
    polynomial,
    same_polynomial,
)
from edgecompile.passes.rewriting import become, opset_of, rewrite_nodes

_GATE_ARGUMENT: dict[str, Polynomial] = {
    "Erf": {(1,): math.sqrt(0.5)},
    "Tanh": {(1,): math.sqrt(2 / math.pi), (3,): 0.044715 * math.sqrt(2 / math.pi)},
}
_APPROXIMATE = {"Erf": "none", "Tanh": "tanh"}
# 0.5 * x + 0.5 * x * gate, in the variables x and gate
_GELU: Polynomial = {(1, 0): 0.5, (1, 1): 0.5}
_OPSET = 20


class RecognizeGelu:
    """Replace decomposed GELU, exact or by tanh, by the operator."""

    name = "recognize_gelu"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "GELU recognised", _gelu)


def _gelu(node: ir.Node) -> bool:
    if node.op_type not in _GATE_ARGUMENT or opset_of(node) < _OPSET:
        return False
    argument, gate = node.inputs[0], node.outputs[0]
    assert argument is not None
    for x in ancestors(argument):
        if not same_polynomial(polynomial(argument, [x]), _GATE_ARGUMENT[node.op_type], x.dtype):
            continue
        for result in descendants(gate)[1:]:
            if same_polynomial(polynomial(result, [x, gate]), _GELU, x.dtype) and is_enclosed(result, [x]):
                last = result.producer()
                assert last is not None
                become(last, "Gelu", [x], {"approximate": _APPROXIMATE[node.op_type]})
                return True
    return False
