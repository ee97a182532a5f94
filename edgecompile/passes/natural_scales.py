"""Give Softmax, Sigmoid and Tanh the scale that their range has by nature, and rescale afterwards.

before: DequantizeLinear -> Softmax -> QuantizeLinear (any scale)
after:  DequantizeLinear -> Softmax -> QuantizeLinear (1/256, -128) -> DequantizeLinear -> QuantizeLinear

For executors that have these operators with that scale only. Swish is such a Sigmoid and a product.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import FusedOp
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, static_shape
from edgecompile.passes.integer.quantized import dequantized, described
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import become, finish, graph_of, insert

# Scale and zero point of int8 results.
NATURAL: dict[str, tuple[float, int]] = {
    "Sigmoid": (1 / 256, -128),
    "Softmax": (1 / 256, -128),
    "Tanh": (1 / 128, 0),
}


class NaturalScales:
    """Functions of a fixed range are quantized to that range first."""

    name = "natural_scales"
    tolerance = 1 / 16  # some steps of the result more, from one more rounding

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = sum(_split(node) or _rescale(node) for node in list(graph) if node.graph is graph)
        return finish(model, count, "functions quantized to their own range")


def _split(node: ir.Node) -> bool:
    """Swish(x) -> x * Sigmoid(x)."""
    op, shape = FusedOp.of(node), static_shape(node.outputs[0])
    if op is None or op.base != "Swish" or op.activation or shape is None or not _is_quantized(node):
        return False
    if node.attributes.get_float("alpha", 1.0) != 1.0:
        return False
    gate = insert(node, "Sigmoid", [node.inputs[0]], shape=shape)
    become(node, "Mul", [node.inputs[0], _through_integers(node, gate, "Sigmoid")])
    return True


def _rescale(node: ir.Node) -> bool:
    quantize = only_reader(node.outputs[0])
    if node.domain or node.op_type not in NATURAL or not _is_quantized(node) or quantize is None:
        return False
    result = described(quantize, quantize.outputs[0])
    if result is None or (result.scale, result.zero) == NATURAL[node.op_type]:
        return False
    become(
        quantize,
        "QuantizeLinear",
        [_through_integers(quantize, node.outputs[0], node.op_type), *quantize.inputs[1:]],
    )
    return True


def _is_quantized(node: ir.Node) -> bool:
    """Whether the node reads and writes int8."""
    x, quantize = dequantized(node.inputs[0]), only_reader(node.outputs[0])
    if x is None or quantize is None or quantize.op_type != "QuantizeLinear":
        return False
    return x.dtype.name == "int8" and quantize.outputs[0].dtype == ir.DataType.INT8


def _through_integers(before: ir.Node, value: ir.Value, function: str) -> ir.Value:
    """`value`, quantized and dequantized."""
    scale, zero = NATURAL[function]
    graph, shape = graph_of(before), static_shape(value)
    assert shape is not None
    parameters = [
        add_initializer(graph, f"{value.name}/scale", np.asarray(scale, np.float32)),
        add_initializer(graph, f"{value.name}/zero_point", np.asarray(zero, np.int8)),
    ]
    stored = insert(before, "QuantizeLinear", [value, *parameters], shape=shape, dtype=ir.DataType.INT8)
    return insert(before, "DequantizeLinear", [stored, *parameters], shape=shape, dtype=ir.DataType.FLOAT)
