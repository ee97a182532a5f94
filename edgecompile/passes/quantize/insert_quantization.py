"""Store weights of a float network as 8-bit integers, tensors as such of 8 or 16 bits.

before: x -> Conv(w, b) -> Relu -> y
after:  x -> QuantizeLinear -> DequantizeLinear -> Conv(DequantizeLinear(w as int8),
        DequantizeLinear(b as int32)) -> Relu -> QuantizeLinear -> DequantizeLinear -> y

This is the standard form of a quantized ONNX network: it runs in onnxruntime as it is, and
passes/convert_to_integer.py turns it into integer operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import Array, add_initializer, static_shape
from edgecompile.passes.quantize.bias import bias_place
from edgecompile.passes.quantize.parameters import Parameters, QuantizedWeights
from edgecompile.passes.quantize.scales import Scales
from edgecompile.passes.rewriting import finish


@dataclass(frozen=True)
class Contraction:
    """The constants of one Conv, Gemm or MatMul; the bias (or None) in units of input and weight scale.

    The bias of a MatMul is that of the Add behind it.
    """

    weights: QuantizedWeights
    bias: Array | None
    input_scale: float


class InsertQuantization:
    """Tensors with `scales`, and contractions by the name of their node; everything else stays float."""

    name = "insert_quantization"
    tolerance = 1.0  # what it costs is measured, not bounded: see passes/quantize/measure.py

    def __init__(self, scales: Scales, contractions: Mapping[str, Contraction]) -> None:
        self._scales = scales
        self._contractions = contractions

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        for node in list(graph):
            if str(node.name) in self._contractions:
                _set_weights(graph, node, self._contractions[str(node.name)])
        values = [*graph.inputs, *(value for node in graph for value in node.outputs)]
        chosen = [value for value in values if value.name in self._scales.tensors]
        nodes = {str(node.name): node for node in graph}
        for value in chosen:
            _round_trip(graph, value, self._scales.tensors[str(value.name)])
        for (name, index), parameters in self._scales.joints.items():
            _rescale(graph, nodes[name], index, parameters)
        return finish(model, len(chosen), "tensors stored as integers")


def _rescale(graph: ir.Graph, node: ir.Node, index: int, parameters: Parameters) -> None:
    """Let `node` read its input `index` on another scale."""
    value = node.inputs[index]
    assert value is not None
    added = _pair(graph, value, f"{node.name}/input_{index}", parameters)
    graph.insert_before(node, added)
    node.replace_input_with(index, added[1].outputs[0])


def _pair(graph: ir.Graph, value: ir.Value, name: str, parameters: Parameters) -> tuple[ir.Node, ir.Node]:
    """QuantizeLinear and DequantizeLinear of `value`, new nodes outside of the graph."""
    scale = add_initializer(graph, f"{name}/scale", np.asarray(parameters.scale, np.float32))
    zero = add_initializer(graph, f"{name}/zero_point", np.asarray(parameters.zero, parameters.dtype))
    dtype = ir.DataType.from_numpy(np.dtype(parameters.dtype))
    quantize = _node("QuantizeLinear", [value, scale, zero], f"{name}/quantized", value, dtype)
    inputs = [quantize.outputs[0], scale, zero]
    return quantize, _node("DequantizeLinear", inputs, f"{name}/read", value, ir.DataType.FLOAT)


def _round_trip(graph: ir.Graph, value: ir.Value, parameters: Parameters) -> None:
    """Let everybody read `value` after QuantizeLinear and DequantizeLinear."""
    uses, name, is_output = tuple(value.uses()), str(value.name), value.is_graph_output()
    added = _pair(graph, value, name, parameters)
    result = added[1].outputs[0]
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], added)
    else:
        graph.insert_after(producer, added)
    for user, index in uses:
        user.replace_input_with(index, result)
    if is_output:
        graph.outputs[list(graph.outputs).index(value)] = result
        value.name, result.name = f"{name}/real", name


def _set_weights(graph: ir.Graph, node: ir.Node, constants: Contraction) -> None:
    """Let `node` read its weights and bias from integers."""
    stem = str(node.name)
    weights, place = constants.weights, bias_place(node)
    node.replace_input_with(1, _stored(graph, node, f"{stem}/stored_weights", weights))
    if constants.bias is None or place is None:
        return
    count = constants.bias.size
    scales = np.broadcast_to(weights.scales, (count,)).astype(np.float64) * constants.input_scale
    scales = scales.astype(np.float32)
    integers = np.rint(constants.bias.reshape(-1).astype(np.float64) / scales).astype(np.int32)
    bias = _stored(graph, node, f"{stem}/stored_bias", QuantizedWeights(integers, scales, 0))
    owner, index = place
    owner.resize_inputs(max(len(owner.inputs), index + 1))
    owner.replace_input_with(index, bias)


def _stored(graph: ir.Graph, node: ir.Node, name: str, weights: QuantizedWeights) -> ir.Value:
    """The real numbers of constant integers."""
    integers = add_initializer(graph, f"{name}/integers", weights.integers)
    per_channel = weights.axis is not None and weights.scales.size > 1
    scales = weights.scales if per_channel else weights.scales.reshape(())
    inputs = [integers, add_initializer(graph, f"{name}/scale", scales)]
    read = _node("DequantizeLinear", inputs, name, integers, ir.DataType.FLOAT)
    if per_channel:
        read.attributes.add(ir.AttrInt64("axis", weights.axis))  # type: ignore[arg-type]
    graph.insert_before(node, read)
    return read.outputs[0]


def _node(op_type: str, inputs: list[ir.Value], name: str, like: ir.Value, dtype: ir.DataType) -> ir.Node:
    """A node of one output, both called `name`; the output has the shape of `like`."""
    node = ir.Node("", op_type, inputs, name=name)
    result = node.outputs[0]
    shape = static_shape(like)
    assert shape is not None
    result.name, result.shape, result.type = name, ir.Shape(shape), ir.TensorType(dtype)
    return node
