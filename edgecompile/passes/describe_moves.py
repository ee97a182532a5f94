"""Note what the integers stand for that plain ONNX operators move: what those do that they come from.

Then every integer tensor says so by itself, also where a graph is cut.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model, describe_quantization, tensor_info
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.integer.moves import is_move


class DescribeMoves:
    """Scale and zero point of results of Reshape, Concat, MaxPool, ..."""

    name = "describe_moves"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        count = sum(_describe(node) for node in model.graph.graph)
        return PassResult(model, bool(count))


def _describe(node: ir.Node) -> bool:
    source = node.inputs[0] if node.inputs else None
    if source is None or not is_move(node) or tensor_info(node.outputs[0]).scale is not None:
        return False
    info = tensor_info(source)
    if info.scale is None or info.zero_point is None:
        return False
    describe_quantization(node.outputs[0], info.scale, info.zero_point)
    return True
