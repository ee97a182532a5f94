"""Networks of one int8 operator, with shapes, scales and zero points that hypothesis chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from tests.support.tflite_cases import SAME, VALID, Case, Draw, Net

# None, RELU and RELU6 as values of the option FusedActivationFunction.
_ACTIVATIONS = (0, 1, 3)


def convolution(draw: Draw, depthwise: bool = False) -> Case:
    """CONV_2D or DEPTHWISE_CONV_2D: strides and dilations to 3, both paddings."""
    net = Net(draw)
    dilation = [net.one_of(1, 1, 1, 2, 3), net.one_of(1, 1, 1, 2)]
    strides = [1, 1] if max(dilation) > 1 else [net.size(1, 3), net.size(1, 3)]
    padding, kernel = net.one_of(SAME, VALID), [net.size(1, 9), net.size(1, 5)]
    height, width, depth = net.size(1, 20), net.size(1, 12), net.size(1, 70)
    outputs = depth if depthwise else net.size(1, 70)
    size = _window([height, width], kernel, strides, padding, dilation)
    net.tensor("x", [1, height, width, depth])
    shape = [1, *kernel, depth] if depthwise else [outputs, *kernel, depth]
    net.weights(shape, 3 if depthwise else 0)
    net.tensor("y", [1, *size, outputs], net.sum_scale(kernel[0] * kernel[1] * (1 if depthwise else depth)))
    options: dict[str, Any] = {"DepthMultiplier": 1} if depthwise else {}
    net.file.op(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D",
        ["x", "w", "b"],
        ["y"],
        "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
        Padding=padding,
        StrideH=strides[0],
        StrideW=strides[1],
        DilationHFactor=dilation[0],
        DilationWFactor=dilation[1],
        FusedActivationFunction=net.one_of(*_ACTIVATIONS),
        **options,
    )
    return net.case(["x"])


def transposed(draw: Draw) -> Case:
    """TRANSPOSE_CONV with stride 2."""
    net = Net(draw)
    height, width, depth, outputs = net.size(1, 9), net.size(1, 9), net.size(1, 40), net.size(1, 40)
    padding, kernel = net.one_of(SAME, VALID), [net.size(2, 4), net.size(2, 4)]
    more = [0, 0] if padding == SAME else [size - 2 for size in kernel]
    size = [2 * height + more[0], 2 * width + more[1]]
    net.tensor("x", [1, height, width, depth])
    net.weights([outputs, *kernel, depth], 0)
    net.file.constant("shape", [1, *size, outputs])
    net.tensor("y", [1, *size, outputs], net.sum_scale(2 * depth))
    fields = {"Padding": padding, "StrideH": 2, "StrideW": 2}
    net.file.op("TRANSPOSE_CONV", ["shape", "w", "x", "b"], ["y"], "TransposeConvOptions", **fields)
    return net.case(["x"])


def pool(draw: Draw, kind: str) -> Case:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    net = Net(draw)
    padding, kernel, stride = net.one_of(SAME, VALID), [net.size(1, 8), net.size(1, 8)], net.size(1, 3)
    height, width, depth = net.size(1, 20), net.size(1, 20), net.size(1, 40)
    size = _window([height, width], kernel, [stride, stride], padding)
    net.tensor("x", [1, height, width, depth])
    net.tensor("y", [1, *size, depth], like="x")
    fields = {"Padding": padding, "StrideH": stride, "StrideW": stride, "FilterHeight": kernel[0]}
    fields |= {"FilterWidth": kernel[1], "FusedActivationFunction": net.one_of(*_ACTIVATIONS)}
    net.file.op(kind, ["x"], ["y"], "Pool2DOptions", **fields)
    return net.case(["x"])


def binary(draw: Draw, kind: str, options: str, shared: bool = False, dtype: str = "int8") -> Case:
    """An operator on two tensors that may broadcast; the second may be constant."""
    net = Net(draw, dtype)
    whole = [net.size() for _ in range(3)]
    kept = [[draw(st.booleans()) or draw(st.booleans()) for _ in whole] for _ in range(2)]
    first, second = ([1, *(n if keep else 1 for n, keep in zip(whole, k, strict=True))] for k in kept)
    wide = dtype == "int16"
    net.tensor("x", first, draw(st.floats(1e-4, 3e-4)) if wide else None)
    is_like, is_constant = shared or draw(st.integers(0, 3)) == 0, not wide and draw(st.integers(0, 3)) == 0
    net.tensor("c", second, draw(st.floats(1e-4, 3e-4)) if wide else None, like="x" if is_like else "")
    if is_constant:
        net.file.tensors[-1].data = net.random.integers(-128, 128, second, np.int8).tobytes()
    size = [max(pair) for pair in zip(first, second, strict=True)]
    scale = net.scales["x"] * net.scales["c"] * (1 << 14 if wide else 90) if kind == "MUL" else None
    net.tensor(
        "y",
        size,
        draw(st.floats(1e-4, 3e-4)) if wide and scale is None else scale,
        like="x" if shared else "",
    )
    fields = {} if shared or not options or wide else {"FusedActivationFunction": net.one_of(*_ACTIVATIONS)}
    order = ["x", "c"] if draw(st.booleans()) else ["c", "x"]
    net.file.op(kind, order, ["y"], options, **fields)
    return net.case(["x"] if is_constant else ["x", "c"])


def unary(
    draw: Draw,
    kind: str,
    options: str = "",
    scale: float | None = None,
    zero: int | None = None,
    dtype: str = "int8",
    in_scale: float | None = None,
    **fields: Any,
) -> Case:
    """A function of one element."""
    net = Net(draw, dtype)
    shape = [1, net.size(), net.size(), net.size(1, 40)]
    net.tensor("x", shape, in_scale)
    net.tensor("y", shape, scale, zero)
    net.file.op(kind, ["x"], ["y"], options, **fields)
    return net.case(["x"])


def leaky_relu(draw: Draw, dtype: str = "int8") -> Case:
    """LEAKY_RELU; where the scales are equal the NPU has an operator for it."""
    net = Net(draw, dtype)
    shape = [1, net.size(), net.size(), net.size(1, 40)]
    net.tensor("x", shape, 2**-12 if dtype == "int16" else None)
    net.tensor("y", shape, 3e-4 if dtype == "int16" else None, like="x" if draw(st.booleans()) else "")
    net.file.op("LEAKY_RELU", ["x"], ["y"], "LeakyReluOptions", Alpha=draw(st.floats(0.01, 0.9)))
    return net.case(["x"])


def softmax(draw: Draw) -> Case:
    """SOFTMAX over the last axis."""
    net = Net(draw)
    shape = net.one_of([net.size(), net.size(2, 70)], [1, net.size(), net.size(), net.size(2, 40)])
    net.tensor("x", shape)
    net.tensor("y", shape, 1 / 256, -128)
    net.file.op("SOFTMAX", ["x"], ["y"], "SoftmaxOptions", Beta=1.0)
    return net.case(["x"])


def mean(draw: Draw) -> Case:
    """MEAN over height and width, or one of the three axes."""
    net = Net(draw)
    shape, axes = [1, net.size(), net.size(), net.size()], net.one_of([1, 2], [1], [2], [3])
    net.tensor("x", shape)
    net.file.constant("axes", axes)
    size = [1 if axis in axes else n for axis, n in enumerate(shape)]
    net.tensor("y", size, like="x" if draw(st.booleans()) else "")
    net.file.op("MEAN", ["x", "axes"], ["y"], "ReducerOptions", KeepDims=True)
    return net.case(["x"])


def resize(draw: Draw, kind: str, options: str) -> Case:
    """RESIZE_BILINEAR and RESIZE_NEAREST_NEIGHBOR by 2, 4 or 8."""
    net = Net(draw)
    height, width, depth, factor = net.size(1, 6), net.size(1, 6), net.size(1, 20), net.one_of(2, 4, 8)
    corners, half = net.one_of((False, False), (True, False), (False, True))
    size = [(n - 1) * factor + 1 if corners else n * factor for n in (height, width)]
    net.tensor("x", [1, height, width, depth])
    net.file.constant("size", size)
    net.tensor("y", [1, *size, depth], like="x")
    net.file.op(kind, ["x", "size"], ["y"], options, AlignCorners=corners, HalfPixelCenters=half)
    return net.case(["x"])


def concatenation(draw: Draw) -> Case:
    """CONCATENATION of two tensors along any axis but the first."""
    net = Net(draw)
    axis, shape = net.size(1, 3), [1, net.size(), net.size(), net.size(1, 40)]
    other = [net.size(1, 20) if i == axis else n for i, n in enumerate(shape)]
    net.tensor("x", shape)
    net.tensor("c", other, like="x")
    net.tensor("y", [n + other[i] if i == axis else n for i, n in enumerate(shape)], like="x")
    net.file.op("CONCATENATION", ["x", "c"], ["y"], "ConcatenationOptions", Axis=axis)
    return net.case(["x", "c"])


def split(draw: Draw) -> Case:
    """SPLIT into equal parts."""
    net = Net(draw)
    axis, count, part = net.size(1, 3), net.size(2, 4), [1, net.size(), net.size(), net.size(1, 20)]
    net.file.constant("axis", axis)
    net.tensor("x", [count * n if i == axis else n for i, n in enumerate(part)])
    parts = [net.tensor(f"y{number}", part, like="x") for number in range(count)]
    net.file.op("SPLIT", ["axis", "x"], parts, "SplitOptions", NumSplits=count)
    return net.case(["x"], parts)


def transpose(draw: Draw) -> Case:
    """TRANSPOSE of the last three axes."""
    net = Net(draw)
    shape = [1, net.size(1, 16), net.size(1, 16), net.size(1, 16)]
    order = [0, *draw(st.permutations([1, 2, 3]))]
    net.tensor("x", shape)
    net.file.constant("order", order)
    net.tensor("y", [shape[axis] for axis in order], like="x")
    net.file.op("TRANSPOSE", ["x", "order"], ["y"], "TransposeOptions")
    return net.case(["x"])


def pad(draw: Draw, kind: str = "PAD", options: str = "PadOptions", **fields: Any) -> Case:
    """PAD of the last three axes, MIRROR_PAD of height and width."""
    net = Net(draw)
    shape = [1, net.size(4), net.size(4), net.size(1, 20)]
    amounts = [[0, 0], *([net.size(0, 3), net.size(0, 3)] for _ in shape[1:])]
    if kind == "MIRROR_PAD":
        amounts[3] = [0, 0]
    net.tensor("x", shape)
    net.file.constant("amounts", amounts)
    net.tensor("y", [n + sum(amount) for n, amount in zip(shape, amounts, strict=True)], like="x")
    net.file.op(kind, ["x", "amounts"], ["y"], options, **fields)
    return net.case(["x"])


def strided_slice(draw: Draw) -> Case:
    """STRIDED_SLICE with steps to 3 in height and width."""
    net = Net(draw)
    shape = [1, *(net.size(2, 16) for _ in range(3))]
    begin = [0, *(net.size(0, n - 1) for n in shape[1:])]
    end = [1, *(net.size(first + 1, n) for first, n in zip(begin[1:], shape[1:], strict=True))]
    steps = [1, net.size(1, 3), net.size(1, 3), 1]
    net.tensor("x", shape)
    for name, values in (("begin", begin), ("end", end), ("steps", steps)):
        net.file.constant(name, values)
    net.tensor("y", [-(-(b - a) // s) for a, b, s in zip(begin, end, steps, strict=True)], like="x")
    net.file.op("STRIDED_SLICE", ["x", "begin", "end", "steps"], ["y"], "StridedSliceOptions")
    return net.case(["x"])


def prelu(draw: Draw) -> Case:
    """PRELU with a slope for each channel."""
    net = Net(draw)
    shape = [1, net.size(), net.size(), net.size(1, 20)]
    net.tensor("x", shape)
    net.tensor("slope", [1, 1, shape[3]], 0.01)
    net.file.tensors[-1].data = net.random.integers(-128, 128, shape[3], np.int8).tobytes()
    net.tensor("y", shape)
    net.file.op("PRELU", ["x", "slope"], ["y"])
    return net.case(["x"])


def product(draw: Draw) -> Case:
    """BATCH_MATMUL of two inputs."""
    net = Net(draw)
    batch, rows, depth, columns = (net.size(1, 8) for _ in range(4))
    net.tensor("x", [1, batch, rows, depth])
    net.tensor("c", [1, batch, depth, columns])
    net.tensor("y", [1, batch, rows, columns], net.scales["x"] * net.scales["c"] * 100 * np.sqrt(depth))
    net.file.op("BATCH_MATMUL", ["x", "c"], ["y"], "BatchMatMulOptions")
    return net.case(["x", "c"])


def _window(
    size: list[int], kernel: list[int], strides: list[int], padding: int, dilation: Sequence[int] = (1, 1)
) -> list[int]:
    """Height and width of what a window makes of `size`; examples without any are dropped."""
    reach = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    if padding == SAME:
        return [-(-n // stride) for n, stride in zip(size, strides, strict=True)]
    result = [(n - r - 1) // stride + 1 for n, r, stride in zip(size, reach, strides, strict=True)]
    assume(min(n - r for n, r in zip(size, reach, strict=True)) > 0)
    return result


OPERATORS: dict[str, Callable[[Draw], Case]] = {
    "conv": convolution,
    "depthwise": partial(convolution, depthwise=True),
    "transposed": transposed,
    "max_pool": partial(pool, kind="MAX_POOL_2D"),
    "average_pool": partial(pool, kind="AVERAGE_POOL_2D"),
    "add": partial(binary, kind="ADD", options="AddOptions"),
    "sub": partial(binary, kind="SUB", options="SubOptions"),
    "mul": partial(binary, kind="MUL", options="MulOptions"),
    "minimum": partial(binary, kind="MINIMUM", options="MaximumMinimumOptions", shared=True),
    "maximum": partial(binary, kind="MAXIMUM", options="MaximumMinimumOptions", shared=True),
    "add_16": partial(binary, kind="ADD", options="AddOptions", dtype="int16"),
    "mul_16": partial(binary, kind="MUL", options="MulOptions", dtype="int16"),
    "relu": partial(unary, kind="RELU"),
    "relu6": partial(unary, kind="RELU6"),
    "logistic": partial(unary, kind="LOGISTIC", scale=1 / 256, zero=-128),
    "tanh": partial(unary, kind="TANH", scale=1 / 128, zero=0),
    "hard_swish": partial(unary, kind="HARD_SWISH", options="HardSwishOptions"),
    "abs": partial(unary, kind="ABS", options="AbsOptions"),
    "exp": partial(unary, kind="EXP", options="ExpOptions", in_scale=0.02, scale=0.05),
    "gelu": partial(unary, kind="GELU", options="GeluOptions"),
    "quantize": partial(unary, kind="QUANTIZE", options="QuantizeOptions"),
    "leaky_relu": leaky_relu,
    "leaky_relu_16": partial(leaky_relu, dtype="int16"),
    "logistic_16": partial(unary, kind="LOGISTIC", dtype="int16", in_scale=2**-12, scale=2**-15),
    "tanh_16": partial(unary, kind="TANH", dtype="int16", in_scale=2**-12, scale=2**-15),
    "exp_16": partial(unary, kind="EXP", options="ExpOptions", dtype="int16", in_scale=2**-12, scale=2**-12),
    "softmax": softmax,
    "mean": mean,
    "resize_nearest": partial(resize, kind="RESIZE_NEAREST_NEIGHBOR", options="ResizeNearestNeighborOptions"),
    "resize_bilinear": partial(resize, kind="RESIZE_BILINEAR", options="ResizeBilinearOptions"),
    "concatenation": concatenation,
    "split": split,
    "transpose": transpose,
    "pad": pad,
    "mirror_pad": partial(pad, kind="MIRROR_PAD", options="MirrorPadOptions", Mode=0),
    "strided_slice": strided_slice,
    "prelu": prelu,
    "batch_matmul": product,
}
