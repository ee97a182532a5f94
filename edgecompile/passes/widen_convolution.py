"""Compute convolutions over one spatial axis as convolutions over two, the first of extent 1.

before: x [N,C,L] -> Conv -> Relu -> y
after:  x -> Reshape [N,C,1,L] -> Conv -> Relu -> Reshape [N,O,L'] -> y

Layout and kernels are chosen for images; a line of samples is an image of one line. Reshapes cost nothing.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from edgecompile.core.fused import ACTIVATIONS
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.movement import insert_reshape
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import graph_of, insert, rewrite_nodes

# Attributes with one number an axis, and what the new axis has; pads have two numbers.
_PER_AXIS = {"kernel_shape": 1, "strides": 1, "dilations": 1, "output_padding": 0, "output_shape": 1}


class WidenConvolution:
    """Give Conv, ConvTranspose, MaxPool and AveragePool of rank 3 a second spatial axis."""

    name = "widen_convolution"
    tolerance = 1e-6

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "convolutions over one axis", _widen)


def _widen(node: ir.Node) -> bool:
    shape, result = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if node.domain or shape is None or result is None or len(shape) != 3 or len(node.outputs) > 1:
        return False
    parameters = _parameters(node)
    if parameters is None:
        return False
    assert node.inputs[0] is not None
    data = insert_reshape(node, node.inputs[0], _with_line(shape))
    value = insert(node, node.op_type, [data, *parameters], _attributes(node), shape=_with_line(result))
    last = node
    while (follower := _activation_of(last)) is not None:
        given = {name: attribute.value for name, attribute in follower.attributes.items()}
        operands = [value, *follower.inputs[1:]]
        value = insert(follower, follower.op_type, operands, given, shape=_with_line(result))
        last = follower
    become_reshape(last, value)
    return True


def _parameters(node: ir.Node) -> list[ir.Value | None] | None:
    """All inputs but the data, for two spatial axes; None for a node that stays as it is."""
    if node.op_type in ("MaxPool", "AveragePool"):
        return []
    weights = node.inputs[1] if node.op_type in ("Conv", "ConvTranspose") else None
    values = constant_of(weights)
    if weights is None or values is None:
        return None
    wide = add_initializer(graph_of(node), f"{weights.name}/wide", values[:, :, None], weights)
    return [wide, *node.inputs[2:]]


def _activation_of(node: ir.Node) -> ir.Node | None:
    """The activation that is the only reader of the result of `node`."""
    value = node.outputs[0]
    readers = list(value.uses())
    if len(readers) != 1 or value.is_graph_output():
        return None
    reader = readers[0].node
    return reader if reader.op_type in ACTIVATIONS and not reader.domain else None


def _with_line(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], 1, *shape[2:])


def _attributes(node: ir.Node) -> dict[str, Any]:
    """The attributes of `node` for two spatial axes."""
    given = {name: attribute.value for name, attribute in node.attributes.items()}
    for name, neutral in _PER_AXIS.items():
        if name in given:
            given[name] = (neutral, *given[name])
    if "pads" in given:
        begin, end = given["pads"]
        given["pads"] = (0, begin, 0, end)
    return given
