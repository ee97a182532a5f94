"""Average by a convolution with equal weights, where input and output have different scales.

before: q -> DequantizeLinear -> GlobalAveragePool -> QuantizeLinear (another scale)
after:  q -> DequantizeLinear -> Conv (a group for each channel, weights 1 / count) -> QuantizeLinear

For executors whose pools cannot rescale, or rescale in a way of their own: a convolution is specified to the
last bit everywhere. Averages over neighbouring axes of other tensors are done on them as images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import DOMAIN, FusedOp, activation_attributes
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.integer.quantized import Quantized, dequantized, described
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import become, finish, graph_of, insert

_POOLS = ("AveragePool", "GlobalAveragePool")


class AverageByConvolution:
    """Quantized averages that change the scale become depthwise convolutions."""

    name = "average_by_convolution"
    tolerance = 1e-5  # the weights are 1 / count in float32

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = sum(_pool(node) or _mean(node) for node in list(graph) if node.graph is graph)
        return finish(model, count, "averages computed by convolutions")


def _rescales(node: ir.Node) -> Quantized | None:
    """The input of a quantized operator whose result has another scale or zero point, else None."""
    quantize, x = only_reader(node.outputs[0]), dequantized(node.inputs[0])
    if quantize is None or quantize.op_type != "QuantizeLinear" or quantize.domain or x is None:
        return None
    result = described(quantize, quantize.outputs[0])
    return None if result is None or result.parameters == x.parameters else x


def _pool(node: ir.Node) -> bool:
    op, shape = FusedOp.of(node), static_shape(node.inputs[0]) if node.inputs else None
    if op is None or op.base not in _POOLS or shape is None or _rescales(node) is None:
        return False
    attributes = node.attributes
    last = op.layout == "nhwc"
    kernel = attributes.get_ints("kernel_shape") or (shape[1:-1] if last else shape[2:])
    pads = attributes.get_ints("pads") or (0,) * (2 * len(kernel))
    uneven = any(pads) and attributes.get_int("count_include_pad", 0) == 0
    if (
        uneven
        or attributes.get_int("ceil_mode", 0) == 1
        or attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    ):
        return False
    window = {"kernel_shape": kernel, "pads": pads} | {
        name: attributes.get_ints(name) or (1,) * len(kernel) for name in ("strides", "dilations")
    }
    channels = shape[-1] if last else shape[1]
    own = {f"activation_{name}": value for name, value in activation_attributes(node).items()}
    operands = [node.inputs[0], _weights(node, channels, kernel)]
    kind = FusedOp("Conv", op.activation, op.layout)
    domain = DOMAIN if kind.name != "Conv" else ""
    become(node, kind.name, operands, window | {"group": channels} | own, domain)
    return True


def _mean(node: ir.Node) -> bool:
    """ReduceMean over neighbouring axes, on an image [before, reduced, reduced, behind]."""
    x = _rescales(node) if node.op_type == "ReduceMean" and not node.domain else None
    shape, axes = static_shape(node.inputs[0]), constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if x is None or shape is None or axes is None or not axes.size:
        return False
    where = sorted(int(axis) % len(shape) for axis in axes.ravel())
    if where != list(range(where[0], where[-1] + 1)):
        return False
    kernel = (shape[where[0]], math.prod(shape[where[0] + 1 : where[-1] + 1]))
    channels = math.prod(shape[where[-1] + 1 :])
    image = (math.prod(shape[: where[0]]), *kernel, channels)
    result = static_shape(node.outputs[0])
    dequantize = node.inputs[0].producer() if node.inputs[0] is not None else None
    quantize = only_reader(node.outputs[0])
    assert result is not None
    assert dequantize is not None
    assert quantize is not None
    integers = insert(node, "Reshape", [x.value, _shape(node, image)], shape=image)
    real = insert(
        node, "DequantizeLinear", [integers, *dequantize.inputs[1:]], shape=image, dtype=ir.DataType.FLOAT
    )
    window = {"kernel_shape": kernel, "pads": (0,) * 4, "strides": (1, 1), "dilations": (1, 1)}
    pooled = (image[0], 1, 1, channels)
    summed = insert(
        node, "ConvNhwc", [real, _weights(node, channels, kernel)], window | {"group": channels},
        shape=pooled, domain=DOMAIN,
    )  # fmt: skip
    producer = summed.producer()
    assert producer is not None
    name, producer.name = node.name, node.name
    stored = insert(
        node, "QuantizeLinear", [summed, *quantize.inputs[1:]], quantize.attributes,
        shape=pooled, dtype=quantize.outputs[0].dtype,
    )  # fmt: skip
    become(quantize, "Reshape", [stored, _shape(quantize, result)])
    quantize.name = f"{name}/Reshape"
    return True


def _shape(node: ir.Node, shape: Sequence[int]) -> ir.Value:
    return add_initializer(graph_of(node), f"{node.name}/shape", np.array(shape, np.int64))


def _weights(node: ir.Node, channels: int, kernel: Sequence[int]) -> ir.Value:
    """1 / count for every element of every channel, as integers of 8 bits."""
    graph, shape = graph_of(node), (channels, 1, *kernel)
    ones = add_initializer(graph, f"{node.name}/weights", np.ones(shape, np.int8))
    scale = add_initializer(graph, f"{node.name}/scale", np.asarray(1 / math.prod(kernel), np.float32))
    return insert(node, "DequantizeLinear", [ones, scale], shape=shape, dtype=ir.DataType.FLOAT)
