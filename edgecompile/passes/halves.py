"""Weights in float16 under operators that compute in float32: which constants are worth it."""

from __future__ import annotations

import math

import onnx_ir as ir

from edgecompile.passes.edit import static_shape

# Operators, by the input that holds their weights or table.
_WEIGHTS = {"Conv": 1, "ConvTranspose": 1, "Gather": 0, "Gemm": 1, "MatMul": 1}
# Fewer elements are not worth the Cast.
_LEAST_ELEMENTS = 256


def is_weights(value: ir.Value) -> bool:
    """Whether all readers of `value` take it for their weights or table, and it is not tiny."""
    readers = [(use.node, use.idx) for use in value.uses()]
    reads = all(not node.domain and _WEIGHTS.get(node.op_type) == index for node, index in readers)
    large = math.prod(static_shape(value) or (0,)) >= _LEAST_ELEMENTS
    return bool(readers) and reads and large and not value.is_graph_output()


def widens_weights(node: ir.Node) -> bool:
    """Whether `node` is the Cast of weights from float16 to float32."""
    if node.op_type != "Cast" or node.domain or node.inputs[0] is None:
        return False
    types = node.inputs[0].dtype, node.outputs[0].dtype
    return types == (ir.DataType.FLOAT16, ir.DataType.FLOAT) and is_weights(node.outputs[0])
