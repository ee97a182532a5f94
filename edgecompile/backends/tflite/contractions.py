"""Convolutions and matrix products."""

from __future__ import annotations

import numpy as np

from edgecompile.backends.tflite.images import VALID, from_image, image, image_shape, window
from edgecompile.backends.tflite.registry import NotExpressible, writes
from edgecompile.backends.tflite.view import NodeView
from edgecompile.frontend.tflite.schema import Array, Quantization


@writes("Conv", "ConvNhwc")
def conv(n: NodeView) -> None:
    """CONV_2D with weights [O, H, W, I], or DEPTHWISE_CONV_2D with weights [1, H, W, O]."""
    weights, groups = n.array(1), n.option("group", 1)
    if weights.ndim == 3:
        weights = weights[:, :, None]
    data = image(n)
    depthwise = groups > 1 and weights.shape[1] == 1 and groups == n.tensor(data).shape[3]
    data, options = window(n, data)
    if depthwise:
        options["DepthMultiplier"] = weights.shape[0] // groups
    kind, order = ("DEPTHWISE_CONV_2D", (1, 2, 3, 0)) if depthwise else ("CONV_2D", (0, 2, 3, 1))
    constants = _constants(n, weights.transpose(order), 3 if depthwise else 0)
    from_image(n, n.emit_clamped(kind, [data, *constants], image_shape(n), **options))


@writes("Gemm")
def gemm(n: NodeView) -> None:
    """CONV_2D with a kernel of 1x1, which all runtimes and NPUs compute alike.

    FULLY_CONNECTED, whose weights are [N, K] as well, for sums rounded once, as LiteRT alone does it.
    """
    weights = n.array(1)
    if n.option("rounding") == "single":
        constants = _constants(n, weights, 0)
        n.finish(n.emit_clamped("FULLY_CONNECTED", [n.input(0), *constants], n.shape))
        return
    rows, depth = n.tensor(n.input(0)).shape
    constants = _constants(n, weights[:, None, None, :], 0)
    image = n.reshape(n.input(0), (1, rows, 1, depth))
    options = {"Padding": VALID, "StrideH": 1, "StrideW": 1}
    product = n.emit_clamped("CONV_2D", [image, *constants], (1, rows, 1, n.shape[1]), **options)
    n.finish(n.reshape(product, n.shape))


@writes("MatMul")
def matmul(n: NodeView) -> None:
    """BATCH_MATMUL of two activations."""
    n.quantization(0), n.quantization(1)
    index = n.emit("BATCH_MATMUL", [n.input(0), n.input(1)], n.shape, n.result)
    n.finish(n.clamp(index))


def _constants(n: NodeView, weights: Array, axis: int) -> list[int]:
    """Weights, whose output channels are on `axis`, and bias, with the scales that they had."""
    x, y = n.quantization(0), n.result
    if y is None or n.option("sum_shift", 0):
        raise NotExpressible("it is computed in more than 8 bits")
    scales = _weight_scales(n, x, y)
    summed = weights.astype(np.int64).sum(tuple(i for i in range(weights.ndim) if i != axis))
    bias = n.array(2).astype(np.int64) + x.zero_point[0] * summed
    single = len(set(scales.tolist())) == 1
    own = scales[:1] if single else scales
    products = (np.float32(x.scale[0]) * own).astype(np.float32)
    zeros = (0,) * len(own)
    return [
        n.constant(
            weights, "int8", "weights", Quantization(tuple(own.tolist()), zeros, 0 if single else axis)
        ),
        n.constant(bias, "int32", "bias", Quantization(tuple(products.tolist()), zeros)),
    ]


def _weight_scales(n: NodeView, x: Quantization, y: Quantization) -> Array:
    """float32 scales of the weights, from the multipliers (input scale · weight scale / output scale).

    A multiplier has 31 bits and a float32 24, so rounding finds exactly the scale that it was made of.
    """
    multiplier, shift = n.array(3).astype(np.float64), n.array(4).astype(np.int64)
    factors = np.ldexp(multiplier, -31 - shift)
    scales = np.asarray(factors * np.float64(y.scale[0]) / np.float64(x.scale[0]), np.float32)
    return np.maximum(scales, np.finfo(np.float32).tiny)
