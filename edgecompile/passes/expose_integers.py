"""Let the caller hand over and receive integers.

before: x (float32) -> QuantizeLinear -> ... -> DequantizeLinear -> y (float32)
after:  x (int8)    -> ...                                       -> y (int8)

The inputs and outputs carry their scale and zero point, so that the caller can do the conversion.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model, describe_quantization
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.integer.quantized import dequantized, described
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import finish, sweep


class ExposeIntegers:
    """Take QuantizeLinear at the inputs and DequantizeLinear at the outputs away."""

    name = "expose_integers"
    tolerance = float("inf")  # the outputs are other tensors; nothing is computed differently

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = sum(_expose_input(graph, index) for index in range(len(graph.inputs)))
        count += sum(_expose_output(graph, index) for index in range(len(graph.outputs)))
        return finish(model, count, "inputs and outputs that are integers")


def _expose_input(graph: ir.Graph, index: int) -> bool:
    value = graph.inputs[index]
    node = only_reader(value)
    if node is None or node.op_type != "QuantizeLinear" or node.domain or node.outputs[0].is_graph_output():
        return False
    stored = described(node, node.outputs[0])
    if stored is None:
        return False
    integers = ir.Value(name=value.name, shape=value.shape, type=stored.value.type)
    describe_quantization(integers, stored.scale, stored.zero)
    stored.value.replace_all_uses_with(integers)
    value.name = f"{value.name}/float"
    graph.inputs[index] = integers
    sweep(stored.value)
    return True


def _expose_output(graph: ir.Graph, index: int) -> bool:
    value = graph.outputs[index]
    stored = dequantized(value)
    if stored is None or value.uses() or stored.value.producer() is None or stored.value.is_graph_output():
        return False
    name = value.name
    value.name, stored.value.name = f"{name}/float", name
    describe_quantization(stored.value, stored.scale, stored.zero)
    graph.outputs[index] = stored.value
    sweep(value)
    return True
