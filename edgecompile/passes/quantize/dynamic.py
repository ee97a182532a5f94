"""Dynamic quantization: weights in int8, activations quantized anew in every run.

before: y = MatMul(x, w)                                        (or Gemm(x, w, b), or Conv(x, w, b))
after:  q, s, z = DynamicQuantizeLinear(x)
        y = Mul(Cast(MatMulInteger(q, integers of w, z)), Mul(s, scales of w))           (then Add(y, b))

The scale of x comes from the range that x has in this run, so there is nothing to calibrate. Layers that read
one tensor share its integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.parameters import round_weights, weight_scales
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.rewriting import become, finish, graph_of, insert

# To quantize a number costs as much as about so many products by it save, and to scale a sum as much as so
# many products in it.
_LEAST_USES, _LEAST_DEPTH = 32, 32


@dataclass(frozen=True)
class _Form:
    """The operator on integers, the axis of outputs in its weights, how many axes follow it in a result."""

    op_type: str
    axis: int
    trailing: int = 0

    @property
    def channels(self) -> tuple[int, ...]:
        """The shape in which one number an output broadcasts against a result."""
        return (1, -1, *(1,) * self.trailing) if self.trailing else (-1,)


_PRODUCT, _IMAGE = _Form("MatMulInteger", 1), _Form("ConvInteger", 0, 2)
_FORMS = {"MatMul": _PRODUCT, "Gemm": _PRODUCT, "Conv": _IMAGE}
# What else multiplies by weights, and has no such form.
_OTHERS = frozenset({"ConvTranspose", "GRU", "LSTM", "RNN"})


def quantize_dynamically(
    model: Model, samples: Samples | None, recipe: Recipe, keep_float: Sequence[str], progress: Progress
) -> Rewritten:
    """A copy of `model` with dynamically quantized products; the notes name the layers that stay float.

    Raises UnsupportedError (EC4381) when there is no product to quantize.
    """
    result = model.copy()
    rewriter = _Rewriter()
    layers, notes = [], []
    nodes = [node for node in result.graph.graph if str(node.name) not in keep_float]
    for done, node in enumerate(nodes):
        progress("quantizing weights", done, len(nodes))
        why = _obstacle(node)
        if why is None:
            rewriter.rewrite(node)
            layers.append(str(node.name))
        elif why:
            notes.append(f"{node.name} ({node.op_type}) stays float: {why}")
    if not layers:
        what, fix = "there is no layer to quantize dynamically", "try --recipe int8"
        why = "; ".join(notes) or "no MatMul, Gemm or Conv has constant weights"
        raise UnsupportedError(Problem("EC4381", what, "", why, fix))
    finished = finish(result, len(layers), "products quantized dynamically").model
    return Rewritten(finished.with_notes(*notes), tuple(layers))


def _obstacle(node: ir.Node) -> str | None:
    """Why a node stays float: None when it does not, "" when it has no weights."""
    if node.domain or node.op_type not in {*_FORMS, *_OTHERS}:
        return ""
    weights = constant_of(node.inputs[1])
    if weights is None or weights.dtype != np.float32:
        return ""
    if node.op_type in _OTHERS:
        return f"there is no {node.op_type} of integers"
    form = _FORMS[node.op_type]
    if weights.ndim != 2 + form.trailing or not _is_plain(node):
        return "it is no product by a matrix, and no convolution of an image"
    depth = weights.size // weights.shape[form.axis]
    data, result = (math.prod(static_shape(value) or ()) for value in (node.inputs[0], node.outputs[0]))
    uses = result * depth // max(data, 1)
    if depth < _LEAST_DEPTH or uses < _LEAST_USES:
        return f"with sums of {depth} products, and {uses} products a number, it would not get faster"
    return None


def _is_plain(node: ir.Node) -> bool:
    """Whether x is read as it is, and nothing but a constant bias changes the product."""
    attributes = node.attributes
    factors = {attributes.get_float(name, 1.0) for name in ("alpha", "beta")}
    is_transposed = any(attributes.get_int(name, 0) for name in ("transA", "transB"))
    biases = [constant_of(value) for value in node.inputs[2:] if value is not None]
    known = node.op_type != "Conv" or all(bias is not None for bias in biases)
    return factors == {1.0} and not is_transposed and known and len(static_shape(node.inputs[0]) or ()) > 1


class _Rewriter:
    """Rewrites nodes, each tensor and each array of weights being quantized once."""

    def __init__(self) -> None:
        self._activations: dict[ir.Value, list[ir.Value]] = {}
        self._weights: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}

    def rewrite(self, node: ir.Node) -> None:
        """Turn a product or convolution into the last node of its quantized form."""
        form, (x, weights) = _FORMS[node.op_type], node.inputs[:2]
        assert x is not None
        assert weights is not None
        if x not in self._activations:
            self._activations[x] = _dynamically(node, x)
        if weights not in self._weights:
            self._weights[weights] = _quantized(node, weights, form)
        data, scale, zero = self._activations[x]
        integers, scales = self._weights[weights]
        bias = [_broadcast(node, value, form) for value in node.inputs[2:] if value is not None]
        window = dict(node.attributes) if form is _IMAGE else {}
        shape, dtype = static_shape(node.outputs[0]) or (), ir.DataType.FLOAT
        operands = [data, integers, zero]
        total = insert(node, form.op_type, operands, window, shape=shape, dtype=ir.DataType.INT32)
        real = insert(node, "Cast", [total], {"to": dtype}, shape=shape, dtype=dtype)
        product = [real, insert(node, "Mul", [scale, scales], shape=static_shape(scales) or ())]
        if bias:
            become(node, "Add", [insert(node, "Mul", product, shape=shape), *bias])
        else:
            become(node, "Mul", product)


def _quantized(node: ir.Node, weights: ir.Value, form: _Form) -> tuple[ir.Value, ir.Value]:
    """int8 weights and their scales, one an output, as constants."""
    real = constant_of(weights)
    assert real is not None
    # At 8 bits and a scale for each output, cutting off the greatest weights wins nothing.
    rounded = round_weights(real, weight_scales(real, form.axis, clip=False), form.axis)
    integers = add_initializer(graph_of(node), f"{weights.name}/int8", rounded.integers)
    scales = rounded.scales.reshape(form.channels)
    return integers, add_initializer(graph_of(node), f"{weights.name}/scales", scales)


def _broadcast(node: ir.Node, bias: ir.Value, form: _Form) -> ir.Value:
    """A bias that broadcasts against the result."""
    array = constant_of(bias)
    if array is None or not form.trailing:
        return bias
    return add_initializer(graph_of(node), f"{bias.name}/broadcast", array.reshape(form.channels))


def _dynamically(before: ir.Node, x: ir.Value) -> list[ir.Value]:
    """The integers of x, their scale and their zero point."""
    node = ir.node("DynamicQuantizeLinear", [x], num_outputs=3, name=f"{x.name}/DynamicQuantizeLinear")
    types = (ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8)
    shapes = (static_shape(x) or (), (), ())
    for value, name, shape, dtype in zip(
        node.outputs, ("quantized", "scale", "zero_point"), shapes, types, strict=True
    ):
        value.name, value.shape, value.type = f"{x.name}/{name}", ir.Shape(shape), ir.TensorType(dtype)
    graph_of(before).insert_before(before, node)
    return list(node.outputs)
