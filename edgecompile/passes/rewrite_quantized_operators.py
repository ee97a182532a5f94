"""Spell operators on quantized tensors as float operators between DequantizeLinear and QuantizeLinear.

before: y = QLinearConv(x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias)
after:  y = QuantizeLinear(Conv(DequantizeLinear(x), DequantizeLinear(w), DequantizeLinear(bias)))

so that there is one form of a quantized network, which all other passes understand.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.rewriting import become, graph_of, insert, rewrite_nodes


class RewriteQuantizedOperators:
    """QLinearConv and QLinearMatMul with constant scales."""

    name = "rewrite_quantized_operators"
    tolerance = 0.02  # results that lie between two integers may be rounded the other way

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "quantized operators spelled in float", _conv, _matmul)


def _conv(node: ir.Node) -> bool:
    if node.op_type != "QLinearConv" or node.domain or not _constants(node, (1, 2, 4, 5, 6, 7)):
        return False
    x, weights = _dequantized(node, 0), _dequantized(node, 3, axis=0)
    inputs = [x, weights]
    if len(node.inputs) > 8 and node.inputs[8] is not None:
        bias = _bias(node)
        if bias is None:
            return False
        inputs.append(bias)
    _replace(node, "Conv", inputs, dict(node.attributes), 6)
    return True


def _matmul(node: ir.Node) -> bool:
    if node.op_type != "QLinearMatMul" or node.domain or not _constants(node, (1, 2, 4, 5, 6, 7)):
        return False
    rank = len(static_shape(node.inputs[3]) or ())
    scales = static_shape(node.inputs[1]), static_shape(node.inputs[4])
    if any(len(shape or ()) > 1 for shape in scales) or (scales[0] or (1,)) != (1,):
        return False
    inputs = [_dequantized(node, 0), _dequantized(node, 3, axis=max(rank - 1, 0))]
    _replace(node, "MatMul", inputs, {}, 6)
    return True


def _constants(node: ir.Node, indices: Sequence[int]) -> bool:
    return all(constant_of(node.inputs[index]) is not None for index in indices)


def _dequantized(node: ir.Node, index: int, axis: int = 0) -> ir.Value:
    """DequantizeLinear of input `index`, whose scale and zero point are the next two inputs."""
    value = node.inputs[index]
    scale, zero = (_parameter(node, index + offset) for offset in (1, 2))
    attributes = {"axis": axis} if (static_shape(scale) or ()) else {}
    shape = static_shape(value)
    assert shape is not None
    return insert(node, "DequantizeLinear", [value, scale, zero], attributes, shape=shape, dtype=scale.dtype)


def _parameter(node: ir.Node, index: int) -> ir.Value:
    """A scale or zero point; one for the whole tensor becomes a scalar, as DequantizeLinear wants it."""
    value = node.inputs[index]
    array = constant_of(value)
    assert value is not None
    assert array is not None
    if array.ndim == 0 or array.size > 1:
        return value
    return add_initializer(graph_of(node), f"{value.name}/scalar", array.reshape(()), value)


def _bias(node: ir.Node) -> ir.Value | None:
    """The int32 bias, whose scale is that of the products."""
    value = node.inputs[8]
    x_scale, w_scale = constant_of(node.inputs[1]), constant_of(node.inputs[4])
    assert x_scale is not None
    assert w_scale is not None
    shape = static_shape(value)
    if value is None or shape is None:
        return None
    product = np.asarray(x_scale.reshape(()) * w_scale.reshape(-1), np.float32)
    per_channel = product.size > 1
    scale = add_initializer(
        graph_of(node), f"{value.name}/scale", product if per_channel else product.reshape(())
    )
    attributes = {"axis": 0} if per_channel else {}
    return insert(node, "DequantizeLinear", [value, scale], attributes, shape=shape, dtype=scale.dtype)


def _replace(
    node: ir.Node, op_type: str, inputs: list[ir.Value], attributes: dict[str, ir.Attr], scale: int
) -> None:
    """Turn `node` into the QuantizeLinear behind a new float operator of its name."""
    shape = static_shape(node.outputs[0])
    assert shape is not None
    real = insert(node, op_type, inputs, attributes, shape=shape, dtype=ir.DataType.FLOAT)
    producer = real.producer()
    assert producer is not None
    producer.name, node.name = node.name, f"{node.name}/QuantizeLinear"
    become(node, "QuantizeLinear", [real, _parameter(node, scale), _parameter(node, scale + 1)])
