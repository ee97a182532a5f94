"""Networks that nobody thought of: random operators, random units kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.prune.analyse import analyse
from tests.passes.prune.cutting import cut_and_prove
from tests.passes.prune.nets import Net

_STEPS = """conv padded depthwise grouped relu sigmoid swish batch_norm scale residual concat split shuffle
excite gather slice pad transposed attend""".split()
# A tensor [1, channels, 6, 6] and its channels.
_Tensor = tuple[str, int]


class _Growing:
    """A network to which `draw` adds one step after the other."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self.net = Net("random")
        self.tensors: list[_Tensor] = [(self.net.padded("x", 3, 8), 8)]

    def _pick(self, *values: int) -> int:
        value: int = self._draw(st.sampled_from(values))
        return value

    def grow(self) -> None:
        x, channels = self.tensors[-1 - self._draw(st.integers(0, min(2, len(self.tensors) - 1)))]
        step = self._draw(st.sampled_from(_STEPS))
        self.tensors.append(getattr(self, f"_{step}")(x, channels))

    def _conv(self, x: str, channels: int) -> _Tensor:
        outputs = self._pick(4, 6, 8)
        return self.net.conv(x, channels, outputs, bias=bool(self._pick(0, 1))), outputs

    def _padded(self, x: str, channels: int) -> _Tensor:
        outputs = self._pick(4, 8)
        return self.net.padded(x, channels, outputs), outputs

    def _depthwise(self, x: str, channels: int) -> _Tensor:
        factor = self._pick(1, 2)
        return self.net.padded(x, 1, factor * channels, group=channels), factor * channels

    def _grouped(self, x: str, channels: int) -> _Tensor:
        groups = 2 if channels % 2 == 0 else 1
        return self.net.conv(x, channels // groups, 8, group=groups), 8

    def _relu(self, x: str, channels: int) -> _Tensor:
        return self.net.op("Relu", x), channels

    def _sigmoid(self, x: str, channels: int) -> _Tensor:
        return self.net.op("Sigmoid", x), channels

    def _swish(self, x: str, channels: int) -> _Tensor:
        return self.net.op("Mul", x, self.net.op("Sigmoid", x)), channels

    def _batch_norm(self, x: str, channels: int) -> _Tensor:
        vectors = [self.net.weights(channels) for _ in range(3)]
        variance = self.net.const(self.net.random.random(channels) + 0.5)
        return self.net.op("BatchNormalization", x, *vectors, variance), channels

    def _scale(self, x: str, channels: int) -> _Tensor:
        shifted = self.net.op("Add", x, self.net.weights(1, channels, 1, 1))
        return self.net.op("Mul", shifted, self.net.weights(channels, 1, 1)), channels

    def _residual(self, x: str, channels: int) -> _Tensor:
        others = [tensor for tensor, size in self.tensors if size == channels]
        return self.net.op("Add", x, self._draw(st.sampled_from(others))), channels

    def _concat(self, x: str, channels: int) -> _Tensor:
        other, more = self.tensors[self._draw(st.integers(0, len(self.tensors) - 1))]
        return self.net.op("Concat", other, x, axis=1), channels + more

    def _split(self, x: str, channels: int) -> _Tensor:
        if channels % 2:
            return self._relu(x, channels)
        first, second = self.net.op("Split", x, outputs=2, axis=1, num_outputs=2)
        return self.net.op(("Mul", "Add", "Max")[self._pick(0, 1, 2)], first, second), channels // 2

    def _shuffle(self, x: str, channels: int) -> _Tensor:
        if channels % 2:
            return self._relu(x, channels)
        y = self.net.op("Transpose", self.net.reshape(x, 1, 2, channels // 2, 36), perm=[0, 2, 1, 3])
        return self.net.reshape(y, 1, channels, 6, 6), channels

    def _excite(self, x: str, channels: int) -> _Tensor:
        gate = self.net.op("Relu", self.net.conv(self.net.op("GlobalAveragePool", x), channels, 4))
        return self.net.op("Mul", x, self.net.op("HardSigmoid", self.net.conv(gate, 4, channels))), channels

    def _gather(self, x: str, channels: int) -> _Tensor:
        order = self._draw(st.permutations(range(channels)))[: max(2, channels - 2)]
        return self.net.op("Gather", x, self.net.const(np.array(order)), axis=1), len(order)

    def _slice(self, x: str, channels: int) -> _Tensor:
        start, step = self._pick(0, 1), self._pick(1, 2)
        size = len(range(start, channels, step))
        given = (self.net.const(np.array([value])) for value in (start, channels, 1, step))
        return self.net.op("Slice", x, *given), size

    def _pad(self, x: str, channels: int) -> _Tensor:
        before, behind = self._pick(0, 2), self._pick(1, 2)
        pads = self.net.const(np.array([0, before, 0, 0, 0, behind, 0, 0]))
        return self.net.op("Pad", x, pads), channels + before + behind

    def _transposed(self, x: str, channels: int) -> _Tensor:
        weights = self.net.weights(channels, 6, 3, 3)
        return self.net.op("ConvTranspose", x, weights, self.net.weights(6), pads=[1, 1, 1, 1]), 6

    def _attend(self, x: str, channels: int) -> _Tensor:
        q, k, v = (self.net.reshape(self.net.conv(x, channels, 8), 2, 4, 36) for _ in range(3))
        scores = self.net.op("Softmax", self.net.op("MatMul", self.net.op("Transpose", q, perm=[0, 2, 1]), k))
        y = self.net.op("MatMul", v, self.net.op("Transpose", scores, perm=[0, 2, 1]))
        return self.net.reshape(y, 1, 8, 6, 6), 8


@given(st.data())
@settings(max_examples=30)
def test_any_network_is_cut_as_it_is_masked(data: st.DataObject) -> None:
    growing = _Growing(data.draw)
    for _ in range(data.draw(st.integers(1, 7))):
        growing.grow()
    x, channels = growing.tensors[-1]
    model = growing.net.model({"x": [1, 3, 6, 6]}, growing.net.classify(x, channels))
    dependencies = analyse(model)
    keep = {
        group.name: data.draw(st.lists(st.integers(0, group.size - 1), min_size=1, unique=True), group.name)
        for group in dependencies.groups
        if not group.frozen
    }
    _, proof = cut_and_prove(model, dependencies, keep)
    assert proof.holds, (proof, keep)
