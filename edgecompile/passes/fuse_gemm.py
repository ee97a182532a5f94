"""Matrix products with constant weights in one spelling.

before: Add(MatMul(x [M,K], w [K,N]), b [N])               after: Gemm(x, w, b)
before: MatMul(x [M,K], w [K,N])                           after: Gemm(x, w)
before: Gemm(x, w [N,K], b, alpha, beta, transB=1)         after: Gemm(x, alpha * transpose(w), beta * b)

Products of other ranks stay MatMul.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.matching import only_reader, other_input
from edgecompile.passes.rewriting import become, graph_of, rewrite_nodes

_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class FuseGemm:
    """Rank 2 products with constant weights become Gemm with weights [K, N], alpha = beta = 1."""

    name = "fuse_gemm"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "products became Gemm", _matmul, _plain_gemm, _bias)


def _matmul(node: ir.Node) -> bool:
    if node.op_type != "MatMul" or node.domain or node.outputs[0].dtype not in _FLOATS:
        return False
    ranks = [len(static_shape(value) or ()) for value in node.inputs]
    if ranks != [2, 2] or constant_of(node.inputs[1]) is None:
        return False
    become(node, "Gemm", list(node.inputs))
    _bias(node)
    return True


def _plain_gemm(node: ir.Node) -> bool:
    """Constant weights are stored [K, N] and hold alpha; a constant bias holds beta."""
    if node.op_type != "Gemm" or node.domain or node.outputs[0].dtype not in _FLOATS:
        return False
    attributes = node.attributes
    alpha, beta = attributes.get_float("alpha", 1.0), attributes.get_float("beta", 1.0)
    transposed = attributes.get_int("transB", 0)
    weights = constant_of(node.inputs[1])
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if weights is None or (not transposed and alpha == beta == 1.0) or (bias and constant_of(bias) is None):
        return False
    inputs = [node.inputs[0], _scaled(node, node.inputs[1], alpha, bool(transposed))]
    if bias is not None:
        inputs.append(_scaled(node, bias, beta))
    kept = {"transA": 1} if attributes.get_int("transA", 0) else {}
    become(node, "Gemm", inputs, kept)
    _bias(node)
    return True


def _bias(node: ir.Node) -> bool:
    """The Add of a constant behind a Gemm without bias becomes the bias."""
    if node.op_type != "Gemm" or node.domain or (len(node.inputs) > 2 and node.inputs[2] is not None):
        return False
    result = node.outputs[0]
    add, shape = only_reader(result), static_shape(result)
    if add is None or add.op_type != "Add" or add.domain or shape is None:
        return False
    operand = other_input(add, result)
    array = constant_of(operand)
    if array is None or array.ndim > 2 or static_shape(add.outputs[0]) != shape:
        return False
    name = node.name
    become(add, "Gemm", [*node.inputs[:2], operand], dict(node.attributes))
    add.name = name
    return True


def _scaled(node: ir.Node, value: ir.Value | None, factor: float, transpose: bool = False) -> ir.Value:
    """The constant `value`, times `factor`, transposed if wanted; itself when that changes nothing."""
    array = constant_of(value)
    assert array is not None
    assert value is not None
    if factor == 1.0 and not transpose:
        return value
    result = (array.T if transpose else array) * np.asarray(factor, array.dtype)
    return add_initializer(graph_of(node), f"{value.name}/gemm", result, value)
