"""Note in the graph what its integers stand for: results of QuantizeLinear, and of what moves elements.

Operators of our domain say so already. Then every integer tensor does, also where a graph is cut.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model, describe_quantization, tensor_info
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.integer.moves import is_move
from edgecompile.passes.integer.quantized import described


class DescribeIntegers:
    """Scale and zero point of results of QuantizeLinear, Reshape, Concat, MaxPool, ..."""

    name = "describe_integers"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        count = sum(_describe(node) for node in model.graph.graph)
        return PassResult(model, bool(count))


def _describe(node: ir.Node) -> bool:
    meaning = _meaning(node)
    if meaning is None or tensor_info(node.outputs[0]).scale is not None:
        return False
    describe_quantization(node.outputs[0], *meaning)
    return True


def _meaning(node: ir.Node) -> tuple[float, int] | None:
    """Scale and zero point of what `node` computes; None where they are not known."""
    if node.op_type == "QuantizeLinear" and not node.domain:
        result = described(node, node.outputs[0])
        return None if result is None else (result.scale, result.zero)
    source = node.inputs[0] if node.inputs else None
    info = tensor_info(source) if source is not None and is_move(node) else None
    if info is None or info.scale is None or info.zero_point is None:
        return None
    return info.scale, info.zero_point
