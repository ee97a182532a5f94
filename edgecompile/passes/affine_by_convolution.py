"""Compute a·x + b, clamped, by a convolution of one element, where there is no operator for it.

before: q -> DequantizeLinear -> HardSigmoid (or a sum, a product with one number) -> QuantizeLinear
after:  q -> DequantizeLinear -> Conv (1x1, a group for each channel, weights a, bias b) -> QuantizeLinear

For executors that have no table of any 256 values.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import DOMAIN, FusedOp
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.integer.quantized import dequantized
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import become, finish, graph_of, insert


class AffineByConvolution:
    """Quantized affine functions of one element become depthwise convolutions."""

    name = "affine_by_convolution"
    tolerance = 1e-5

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = sum(_rewrite(node) for node in list(graph) if node.graph is graph)
        return finish(model, count, "affine functions computed by convolutions")


def _rewrite(node: ir.Node) -> bool:
    quantize = only_reader(node.outputs[0])
    found = None if quantize is None or quantize.op_type != "QuantizeLinear" else _affine(node)
    if found is None:
        return False
    source, factor, summand, clamps = found
    x, shape = dequantized(source), static_shape(source)
    if x is None or x.dtype.name != "int8" or shape is None or len(shape) != 4 or not factor:
        return False
    # Channels are last wherever a layout was chosen for convolutions.
    channels, graph = shape[-1], graph_of(node)
    scale = np.asarray(abs(factor) / 127, np.float32)
    stored = add_initializer(
        graph, f"{node.name}/weights", np.full((channels, 1, 1, 1), np.sign(factor) * 127, np.int8)
    )
    weights = insert(
        node, "DequantizeLinear", [stored, add_initializer(graph, f"{node.name}/scale", scale)],
        shape=(channels, 1, 1, 1), dtype=ir.DataType.FLOAT,
    )  # fmt: skip
    bias = add_initializer(graph, f"{node.name}/bias", np.full(channels, summand, np.float32))
    attributes = {
        "kernel_shape": (1, 1), "pads": (0,) * 4, "strides": (1, 1), "dilations": (1, 1), "group": channels,
    }  # fmt: skip
    bounds = {"activation_min": clamps[0], "activation_max": clamps[1]} if clamps else {}
    kind = FusedOp("Conv", "Clip" if clamps else "", "nhwc").name
    become(node, kind, [source, weights, bias], attributes | bounds, DOMAIN)
    return True


def _affine(node: ir.Node) -> tuple[ir.Value, float, float, tuple[float, float] | None] | None:
    """(x, a, b, bounds) of a function a · x + b."""
    if node.domain or not node.inputs or node.inputs[0] is None:
        return None
    if node.op_type == "HardSigmoid":
        alpha, beta = (
            node.attributes.get_float(name, default) for name, default in (("alpha", 0.2), ("beta", 0.5))
        )
        return node.inputs[0], alpha, beta, (0.0, 1.0)
    if node.op_type == "Neg":
        return node.inputs[0], -1.0, 0.0, None
    if node.op_type not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2:
        return None
    numbers = [constant_of(value) for value in node.inputs]
    place = 0 if numbers[0] is not None else 1
    number, source = numbers[place], node.inputs[1 - place]
    if number is None or number.size != 1 or source is None or (place == 0 and node.op_type == "Div"):
        return None
    c, sign = float(number.item()), -1.0 if place == 0 else 1.0
    factors = {"Add": (1.0, c), "Sub": (sign, -sign * c), "Mul": (c, 0.0), "Div": (1 / c if c else 0.0, 0.0)}
    return source, *factors[node.op_type], None
