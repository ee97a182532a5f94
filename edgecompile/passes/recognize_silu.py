"""Find SiLU, which ONNX calls Swish.

before: Mul(x, Sigmoid(x))
after:  Swish(x), or edgecompile::Swish(x)

ONNX has Swish from opset 24, but onnxruntime executes it at that opset only; a graph of another opset gets
the function of domain edgecompile, whose body is the product.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.fused import DOMAIN
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.matching import is_enclosed
from edgecompile.passes.rewriting import become, opset_of, rewrite_nodes

_EXECUTABLE_OPSET = 24


class RecognizeSilu:
    """Replace x * sigmoid(x) by one operator."""

    name = "recognize_silu"
    tolerance = 1e-6

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "SiLU recognised", _product_with_sigmoid)


def _product_with_sigmoid(node: ir.Node) -> bool:
    if node.op_type != "Sigmoid" or node.domain:
        return False
    x, gate = node.inputs[0], node.outputs[0]
    users = gate.consumers()
    if len(users) != 1 or users[0].op_type != "Mul" or set(users[0].inputs) != {x, gate}:
        return False
    if x is None or not is_enclosed(users[0].outputs[0], [x]):
        return False
    become(users[0], "Swish", [x], domain="" if opset_of(node) == _EXECUTABLE_OPSET else DOMAIN)
    return True
