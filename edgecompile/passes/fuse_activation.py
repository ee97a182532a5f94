"""Make an activation part of the operator in front of it.

before: Relu(Conv(x, w, b))             after: edgecompile::ConvRelu(x, w, b)
before: Clip(Add(a, b), 0, 6)           after: edgecompile::AddClip(a, b, activation_min=0, activation_max=6)

Only when the activation is the only reader of the result. The fused operators are described in core/fused.py.
"""

from __future__ import annotations

import math
from typing import Any

import onnx_ir as ir

from edgecompile.core.fused import ACTIVATIONS, DOMAIN, FUSIBLE, FusedOp
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.matching import only_reader, scalar
from edgecompile.passes.rewriting import become, rewrite_nodes

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)


class FuseActivation:
    """Fuse activations into convolutions, products, sums and pools."""

    name = "fuse_activation"
    tolerance = 1e-6  # kernels of fused operators may round differently

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "activations fused into their producers", _fuse)


def _fuse(node: ir.Node) -> bool:
    activation = FusedOp.of(node)
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    if activation is None or producer is None or node.outputs[0].dtype not in _FLOATS:
        return False
    if activation.base not in ACTIVATIONS or activation.activation or activation.layout != "nchw":
        return False
    base = FusedOp.of(producer)
    if base is None or base.activation or base.base not in FUSIBLE or len(producer.outputs) > 1:
        return False
    attributes = _activation_attributes(node)
    if attributes is None or only_reader(producer.outputs[0]) is not node:
        return False
    name, inputs = producer.name, list(producer.inputs)
    fused = FusedOp(base.base, activation.base, base.layout)
    become(node, fused.name, inputs, {**producer.attributes, **attributes}, DOMAIN)
    node.name = name
    return True


def _activation_attributes(node: ir.Node) -> dict[str, Any] | None:
    """The attributes of the fused operator; None when the activation's parameters are no constants."""
    if node.op_type == "Swish" and node.attributes.get_float("alpha", 1.0) != 1.0:
        return None
    if node.op_type != "Clip":
        return {f"activation_{name}": attr.value for name, attr in node.attributes.items()}
    bounds = {"min": -math.inf, "max": math.inf}
    for name, value in zip(bounds, node.inputs[1:], strict=False):
        if value is not None:
            bound = scalar(value)
            if bound is None:
                return None
            bounds[name] = bound
    return {f"activation_{name}": bound for name, bound in bounds.items()}
