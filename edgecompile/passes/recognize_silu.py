"""Find SiLU, which ONNX calls Swish.

before: Mul(x, Sigmoid(x))
after:  edgecompile::Swish(x)

The result is a function of domain edgecompile and not ONNX's Swish (opset 24), because onnxruntime has no
kernel for that from opset 25 on. A Swish of ONNX with alpha 1 becomes the same function, so there is one
spelling.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.fused import DOMAIN
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.matching import is_enclosed
from edgecompile.passes.rewriting import become, rewrite_nodes


class RecognizeSilu:
    """Replace x * sigmoid(x) by one operator."""

    name = "recognize_silu"
    tolerance = 1e-6

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "SiLU recognised", _product_with_sigmoid, _onnx_swish)


def _product_with_sigmoid(node: ir.Node) -> bool:
    if node.op_type != "Sigmoid" or node.domain:
        return False
    x, gate = node.inputs[0], node.outputs[0]
    users = gate.consumers()
    if len(users) != 1 or users[0].op_type != "Mul" or set(users[0].inputs) != {x, gate}:
        return False
    if x is None or not is_enclosed(users[0].outputs[0], [x]):
        return False
    become(users[0], "Swish", [x], domain=DOMAIN)
    return True


def _onnx_swish(node: ir.Node) -> bool:
    if node.op_type != "Swish" or node.domain or node.attributes.get_float("alpha", 1.0) != 1.0:
        return False
    become(node, "Swish", [node.inputs[0]], domain=DOMAIN)
    return True
