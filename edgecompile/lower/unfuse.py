"""Take fused operators apart for lowering: `ConvNhwcRelu` becomes `ConvNhwc` and `Relu`.

Kernel fusion puts them together again, by one rule for these and for everything that has no fused name.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import DOMAIN, FusedOp, activation_attributes, base_attributes
from edgecompile.core.model import Model

_BOUNDS = ("min", "max")


def split_fused_operators(model: Model) -> Model:
    """A copy of `model` in which every node of our domain is a base operator, without functions."""
    copy = model.copy()
    for node in list(copy.graph.graph):
        if node.domain == DOMAIN:
            _split(copy.graph.graph, node, FusedOp.parse(node.op_type))
    return copy


def _split(graph: ir.Graph, node: ir.Node, fused: FusedOp) -> None:
    base = FusedOp(fused.base, "", fused.layout)
    domain = "" if base.layout == "nchw" else DOMAIN
    nodes = [ir.Node(domain, base.name, node.inputs, base_attributes(node).values(), name=node.name)]
    if fused.activation:
        nodes[0].outputs[0].name = f"{node.outputs[0].name}:{base.name}"
        nodes[0].outputs[0].shape = node.outputs[0].shape
        nodes[0].outputs[0].type = node.outputs[0].type
        nodes.append(_activation(graph, node, fused.activation, nodes[0].outputs[0]))
    result = nodes[-1].outputs[0]
    result.name, result.shape, result.type = (
        node.outputs[0].name,
        node.outputs[0].shape,
        node.outputs[0].type,
    )
    ir.convenience.replace_nodes_and_values(graph, node, [node], nodes, node.outputs, [result])


def _activation(graph: ir.Graph, node: ir.Node, activation: str, data: ir.Value) -> ir.Node:
    attributes = activation_attributes(node)
    inputs: list[ir.Value | None] = [data]
    if activation == "Clip":
        dtype = data.dtype.numpy() if data.dtype else np.float32
        for bound in _BOUNDS:
            array = np.asarray(attributes.pop(bound), dtype)
            inputs.append(_initializer(graph, f"{node.outputs[0].name}:{bound}", array))
    return ir.node(activation, inputs, attributes, name=f"{node.name}:{activation}")


def _initializer(graph: ir.Graph, name: str, array: np.ndarray) -> ir.Value:
    tensor = ir.Tensor(array, name=name)
    value = ir.Value(name=name, shape=tensor.shape, type=ir.TensorType(tensor.dtype), const_value=tensor)
    graph.register_initializer(value)
    return value
