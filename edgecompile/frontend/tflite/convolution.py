"""CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED, BATCH_MATMUL.

TFLite keeps images as [N, H, W, C]; the ONNX operators want channels first. Transposes stand on the integer
side of the quantization, so that those of neighbouring layers meet and cancel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.schema import Quantization, Shape
from edgecompile.frontend.tflite.view import OperatorView

TO_CHANNELS_FIRST = (0, 3, 1, 2)
TO_CHANNELS_LAST = (0, 2, 3, 1)
_SAME = 0  # of the schema's enumeration Padding


def same_padding(sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """Padding of two axes, all begins before all ends, so that an output has ceil(size / stride) elements.

    `kernel` is the extent with dilation. What is odd goes to the end.
    """
    total = [
        max(0, (math.ceil(size / stride) - 1) * stride + extent - size)
        for size, extent, stride in zip(sizes, kernel, strides, strict=True)
    ]
    return [pad // 2 for pad in total] + [pad - pad // 2 for pad in total]


def window(n: OperatorView, image: Shape, kernel: Sequence[int]) -> dict[str, Any]:
    """Attributes strides, pads and dilations (where not 1) of a window over `image` [N, H, W, C]."""
    strides = [n.option("StrideH"), n.option("StrideW")]
    dilations = [n.option("DilationHFactor", 1), n.option("DilationWFactor", 1)]
    if min(*strides, *dilations, *kernel) < 1:
        raise n.malformed(f"kernel {list(kernel)}, strides {strides}, dilations {dilations}")
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    same = n.option("Padding") == _SAME
    found = {"strides": strides, "pads": same_padding(image[1:3], extent, strides) if same else [0] * 4}
    return found if dilations == [1, 1] else found | {"dilations": dilations}


def image(n: OperatorView, index: int) -> Shape:
    """The shape of input `index`, which must have four axes."""
    shape = n.shape(index)
    if len(shape) != 4:
        raise n.malformed(f"input {index} has shape {list(shape)}, it needs four axes")
    return shape


@translates("CONV_2D")
def conv(n: OperatorView) -> None:
    """Weights [O, H, W, I/groups]."""
    data, weights = image(n, 0), image(n, 1)
    if weights[3] == 0 or data[3] % weights[3]:
        raise n.malformed(f"{data[3]} channels, weights for {weights[3]}")
    _convolve(n, TO_CHANNELS_FIRST, data[3] // weights[3], weights[1:3])


@translates("DEPTHWISE_CONV_2D")
def depthwise_conv(n: OperatorView) -> None:
    """Weights [1, H, W, C · multiplier]."""
    weights = image(n, 1)
    _convolve(n, (3, 0, 1, 2), image(n, 0)[3], weights[1:3])


def _convolve(n: OperatorView, weight_perm: Shape, groups: int, kernel: Shape) -> None:
    _note_real_data(n)
    attributes = window(n, n.shape(0), kernel)
    inputs = [n.real(0, TO_CHANNELS_FIRST), n.real(1, weight_perm), _bias(n, 2)]
    grouped: dict[str, Any] = {"group": groups} if groups > 1 else {}
    result = n.emit("Conv", *inputs, kernel_shape=kernel, **attributes, **grouped)
    n.store(n.activate(result), perm=TO_CHANNELS_LAST)


@translates("TRANSPOSE_CONV")
def transpose_conv(n: OperatorView) -> None:
    """Inputs: output shape, weights [O, H, W, I], data, bias. Padded as the forward convolution is."""
    shape, weights, data = n.static(n.output()), image(n, 1), image(n, 2)
    forward = window(n, shape, weights[1:3])
    kernel, strides, pads = weights[1:3], forward["strides"], forward["pads"]
    extra = []
    for axis in (0, 1):
        full = (data[axis + 1] - 1) * strides[axis] + kernel[axis]
        pads[axis + 2] = full - pads[axis] - shape[axis + 1]
        extra.append(max(0, -pads[axis + 2]))
        pads[axis + 2] += extra[axis]
    inputs = [n.real(2, TO_CHANNELS_FIRST), n.real(1, (3, 0, 1, 2)), _bias(n, 3, data=2)]
    padding: dict[str, Any] = {"output_padding": extra} if any(extra) else {}
    result = n.emit("ConvTranspose", *inputs, kernel_shape=kernel, strides=strides, pads=pads, **padding)
    n.store(n.activate(result), perm=TO_CHANNELS_LAST)


@translates("FULLY_CONNECTED")
def fully_connected(n: OperatorView) -> None:
    """Weights [N, K]; the data becomes a matrix [M, K]."""
    weights, shape = n.shape(1), n.shape(0)
    if n.option("WeightsFormat"):
        raise n.unsupported("its weights are shuffled", "convert with default weights")
    if len(weights) != 2 or not weights[1] or math.prod(shape) % weights[1]:
        raise n.malformed(f"data {list(shape)}, weights {list(weights)}")
    _note_real_data(n)
    rows = math.prod(shape) // weights[1]
    data = n.real(0)
    if shape != (rows, weights[1]):
        data = n.emit("Reshape", data, n.number((rows, weights[1]), "int64", "shape"), step="Reshape")
    bias = _bias(n, 2)
    result = n.emit("Gemm", *([data, n.real(1, (1, 0))] + ([] if bias is None else [bias])))
    result = n.activate(result)
    if (out := n.static(n.output())) != (rows, weights[0]):
        result = n.emit("Reshape", result, n.number(out, "int64", "shape"), step="Reshape_1")
    n.store(result)


@translates("BATCH_MATMUL")
def batch_matmul(n: OperatorView) -> None:
    """Both operands may be transposed in their last two axes."""
    operands = []
    for index, name in enumerate(("AdjX", "AdjY")):
        axes = list(range(len(n.shape(index))))
        if len(axes) < 2:
            raise n.malformed(f"input {index} has rank {len(axes)}")
        axes[-2:] = reversed(axes[-2:])
        operands.append(n.real(index, tuple(axes) if n.option(name) else None))
    n.store(n.emit("MatMul", *operands))


def _note_real_data(n: OperatorView) -> None:
    """TFLite quantizes real data on the fly where only the weights are quantized; we compute it as it is."""
    if n.input(0).quantization is None and n.input(1).quantization is not None:
        n.note(f"{n.kind} '{n.name}': its data is not quantized on the fly, only its weights are integers")


def _bias(n: OperatorView, index: int, data: int = 0) -> ir.Value | None:
    """The bias as real numbers; the scale of an integer one is that of data times weights."""
    if not n.has(index):
        return None
    bias, left, right = n.input(index), n.input(data).quantization, n.input(1).quantization
    if bias.dtype not in ("int32", "int64"):
        return n.real(index)
    if bias.dtype == "int64" or left is None or right is None:
        raise n.unsupported(f"its bias '{bias.name}' is {bias.kind}", "quantize the network to 8 bits")
    scales = (np.array(left.scale, np.float32) * np.array(right.scale, np.float32)).tolist()
    return n.dequantize(n.stored(index), bias, Quantization(tuple(scales), (0,) * len(scales)))
