"""A small int8 network as a TensorFlow Lite file: the layers that MobileNets have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tests.support.tflite_cases import SAME, VALID, Case
from tests.support.tflite_files import TFLiteFile


def small_network() -> Case:
    """A residual network with the layers that MobileNets have, large enough to be cut into stripes."""
    net = _Layers()
    x = net.input([1, 48, 40, 3])
    stem = net.conv(x, 24, kernel=3, stride=2)
    wide = net.conv(stem, 96)
    deep = net.conv(net.conv(wide, 96, kernel=3, depthwise=True), 24, activation=0)
    narrow = net.conv(net.add(deep, stem), 40, kernel=3, stride=2)
    logits = net.conv(net.average(narrow), 10, activation=0, gain=4.0)
    return net.case(narrow, net.softmax(logits))


class _Layers:
    """Layers one behind the other, with random weights."""

    def __init__(self) -> None:
        self.file, self.random, self.count = TFLiteFile(), np.random.default_rng(5), 0

    def _new(self, shape: Sequence[int], scale: float, zero: int) -> str:
        self.count += 1
        return self.file.tensor(f"t{self.count}", shape, "INT8", scale, zero)

    def _of(self, name: str) -> tuple[Sequence[int], float]:
        (tensor,) = [tensor for tensor in self.file.tensors if tensor.name == name]
        return tensor.shape, tensor.scale[0]

    def input(self, shape: Sequence[int]) -> str:
        return self._new(shape, 0.02, -3)

    def conv(
        self,
        x: str,
        depth: int,
        kernel: int = 1,
        stride: int = 1,
        depthwise: bool = False,
        activation: int = 1,
        gain: float = 1.0,
    ) -> str:
        (_, height, width, inputs), scale = self._of(x)
        y = self._new([1, -(-height // stride), -(-width // stride), depth], 0.05, -128 if activation else 4)
        terms = kernel * kernel * (1 if depthwise else inputs)
        scales = self.random.uniform(0.5, 1.5, depth) * gain * 0.05 / (scale * 130 * np.sqrt(terms))
        shape = [1, kernel, kernel, depth] if depthwise else [depth, kernel, kernel, inputs]
        weights, bias = self.random.integers(-127, 128, shape), self.random.integers(-500, 500, depth)
        self.file.constant(f"{y}w", weights, "int8", [float(s) for s in scales], axis=3 if depthwise else 0)
        self.file.constant(f"{y}b", bias, "int32", [float(s) * scale for s in scales])
        fields = {
            "Padding": SAME,
            "StrideH": stride,
            "StrideW": stride,
            "FusedActivationFunction": activation,
        }
        fields |= {"DilationHFactor": 1, "DilationWFactor": 1} | ({"DepthMultiplier": 1} if depthwise else {})
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        self.file.op(kind, [x, f"{y}w", f"{y}b"], [y], options, **fields)
        return y

    def add(self, a: str, b: str) -> str:
        y = self._new(self._of(a)[0], 0.06, -10)
        self.file.op("ADD", [a, b], [y], "AddOptions")
        return y

    def average(self, x: str) -> str:
        (_, height, width, depth), scale = self._of(x)
        y = self._new([1, 1, 1, depth], scale, -128)
        fields = {"Padding": VALID, "StrideH": 1, "StrideW": 1, "FilterHeight": height, "FilterWidth": width}
        self.file.op("AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", **fields)
        return y

    def softmax(self, x: str) -> str:
        y = self._new(self._of(x)[0], 1 / 256, -128)
        self.file.op("SOFTMAX", [x], [y], "SoftmaxOptions", Beta=1.0)
        return y

    def case(self, *outputs: str) -> Case:
        x = self.random.integers(-128, 128, self._of("t1")[0], np.int8)
        return Case(self.file.build(["t1"], outputs), [x])
