"""Layers with weights as Qualcomm's compiler reads them.

Dense layers on rows are Gemm, their biases and those of convolutions int32, and what normalizations multiply
and add are floats.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.evaluate import evaluate
from edgecompile.passes.integer.quantized import dequantized
from edgecompile.passes.matching import only_reader, other_input, produced_by
from edgecompile.passes.movement import insert_reshape
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import graph_of, insert, opset_of, rewrite_nodes

_CONTRACTIONS = ("Conv", "ConvTranspose", "Gemm")
_NORMALIZATIONS = ("InstanceNormalization", "LayerNormalization")


class DenseLayers:
    """Quantized linear layers on sequences as one Gemm.

    before: Add(MatMul(x [..., K], w [K, N]), b [N])
    after:  Reshape(Gemm(Reshape(x), w, b))
    """

    name = "dense_layers"
    tolerance = 1e-5  # sums in another order

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "linear layers on sequences made dense", _make_dense)


class QuantizeBiases:
    """Constant biases of quantized layers in int32, in units of the data's scale times the weights'."""

    name = "quantize_biases"
    tolerance = 1e-2  # half a unit of the sums

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "biases quantized", _quantize_bias)


class RealNormalizations:
    """Constants of normalizations that are stored in integers become floats."""

    name = "real_normalizations"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "normalizations by floats", _dequantize_constants)


def _make_dense(node: ir.Node) -> bool:
    products = [produced_by(value, "MatMul") for value in node.inputs] if _is(node, "Add") else []
    product = next((found for found in products if found is not None), None)
    if product is None or only_reader(product.outputs[0]) is not node:
        return False
    (x, weights), bias = product.inputs, other_input(node, product.outputs[0])
    shape, depth = static_shape(node.outputs[0]), static_shape(weights)
    if x is None or dequantized(x) is None or not _is_stored(weights) or shape is None:
        return False
    if depth is None or len(depth) != 2 or not _is_constant(bias) or static_shape(bias) != shape[-1:]:
        return False
    rows = math.prod(shape[:-1])
    flat = insert_reshape(node, x, (rows, depth[0]))
    result = insert(node, "Gemm", [flat, weights, bias], shape=(rows, depth[1]))
    gemm = result.producer()
    assert gemm is not None
    gemm.name, node.name = node.name, f"{node.name}/shape"
    become_reshape(node, result)
    return True


def _quantize_bias(node: ir.Node) -> bool:
    if not _is(node, *_CONTRACTIONS) or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    x, bias = dequantized(node.inputs[0]), constant_of(node.inputs[2])
    weights = produced_by(node.inputs[1], "DequantizeLinear")
    scales = constant_of(weights.inputs[1]) if weights is not None else None
    if x is None or bias is None or scales is None or not _is_stored(node.inputs[1]):
        return False
    # One for all channels or one for each, as the weights have it: else the compiler takes the first for all.
    units = (np.float32(x.scale) * scales).astype(np.float32)
    limits = np.iinfo(np.int32)
    integers = np.clip(np.rint(bias / units.astype(np.float64)), limits.min, limits.max).astype(np.int32)
    graph, name = graph_of(node), node.inputs[2].name
    stored = [
        add_initializer(graph, f"{name}/integers", integers),
        add_initializer(graph, f"{name}/scale", units),
    ]
    real = insert(node, "DequantizeLinear", stored, {"axis": 0}, shape=bias.shape, dtype=ir.DataType.FLOAT)
    node.replace_input_with(2, real)
    return True


def _dequantize_constants(node: ir.Node) -> bool:
    if not _is(node, *_NORMALIZATIONS):
        return False
    stored = [index for index, value in enumerate(node.inputs) if _is_stored(value)]
    for index in stored:
        source = produced_by(node.inputs[index], "DequantizeLinear")
        assert source is not None
        results = evaluate(source, [constant_of(value) for value in source.inputs], {"": opset_of(node)})
        assert results is not None
        real = add_initializer(graph_of(node), f"{source.outputs[0].name}/real", results[0])
        node.replace_input_with(index, real)
    return bool(stored)


def _is(node: ir.Node, *op_types: str) -> bool:
    return node.op_type in op_types and not node.domain


def _is_stored(value: ir.Value | None) -> bool:
    """Whether `value` is a dequantized constant."""
    node = produced_by(value, "DequantizeLinear")
    return node is not None and constant_of(node.inputs[0]) is not None


def _is_constant(value: ir.Value | None) -> bool:
    return constant_of(value) is not None or _is_stored(value)
