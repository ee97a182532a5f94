"""Compute convolutions over one spatial axis as convolutions over two, the first of extent 1.

before: x [N,C,L] -> Conv -> Relu -> y
after:  x -> Reshape [N,C,1,L] -> Conv -> Relu -> Reshape [N,O,L'] -> y

Layout and kernels are chosen for images; a line of samples is an image of one line. Reshapes cost nothing.
In a quantized network they stand outside of the DequantizeLinear and QuantizeLinear around the convolution.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.movement import insert_reshape
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import carry, graph_of, insert, rewrite_nodes

# What stands between weights as they are stored, and the convolution.
_STORED = ("Cast", "DequantizeLinear")
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
    data = _wide_data(node, node.inputs[0], _with_line(shape))
    value = insert(node, node.op_type, [data, *parameters], _attributes(node), shape=_with_line(result))
    (value,), last = carry(node, [value])
    become_reshape(last, value)
    return True


def _wide_data(before: ir.Node, value: ir.Value, shape: tuple[int, ...]) -> ir.Value:
    """`value` in another shape; the Reshape of a dequantized value is one of its integers."""
    producer = value.producer()
    if producer is None or not _is_per_tensor(producer, "DequantizeLinear"):
        return insert_reshape(before, value, shape)
    assert producer.inputs[0] is not None
    integers = insert_reshape(before, producer.inputs[0], shape)
    operands = [integers, *producer.inputs[1:]]
    return insert(before, "DequantizeLinear", operands, _given(producer), shape=shape, dtype=value.dtype)


def _parameters(node: ir.Node) -> list[ir.Value | None] | None:
    """All inputs but the data, for two spatial axes; None for a node that stays as it is."""
    if node.op_type in ("MaxPool", "AveragePool"):
        return []
    weights = node.inputs[1] if node.op_type in ("Conv", "ConvTranspose") else None
    wide = None if weights is None else _wide_weights(node, weights)
    return None if wide is None else [wide, *node.inputs[2:]]


def _wide_weights(node: ir.Node, weights: ir.Value) -> ir.Value | None:
    """Constant weights, also stored ones, with another axis in front of their last; None for others."""
    values, producer = constant_of(weights), weights.producer()
    if values is not None:
        return add_initializer(graph_of(node), f"{weights.name}/wide", values[:, :, None], weights)
    if producer is None or producer.op_type not in _STORED or producer.inputs[0] is None:
        return None
    axis = producer.attributes.get_int("axis", 1)
    stored = _wide_weights(node, producer.inputs[0]) if axis in (0, 1) else None
    if stored is None:
        return None
    operands, shape = [stored, *producer.inputs[1:]], static_shape(stored) or ()
    return insert(node, producer.op_type, operands, _given(producer), shape=shape, dtype=weights.dtype)


def _is_per_tensor(node: ir.Node, op_type: str) -> bool:
    return node.op_type == op_type and not node.domain and static_shape(node.inputs[1]) in ((), (1,))


def _given(node: ir.Node) -> dict[str, Any]:
    return {name: attribute.value for name, attribute in node.attributes.items()}


def _with_line(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*shape[:2], 1, *shape[2:])


def _attributes(node: ir.Node) -> dict[str, Any]:
    """The attributes of `node` for two spatial axes."""
    given = _given(node)
    for name, neutral in _PER_AXIS.items():
        if name in given:
            given[name] = (neutral, *given[name])
    if "pads" in given:
        begin, end = given["pads"]
        given["pads"] = (0, begin, 0, end)
    return given
