"""Tensors moved, reduced, broadcast and multiplied along any axis: what is cut stays what is masked."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.prune.analyse import analyse
from tests.passes.prune.cutting import cut_and_prove
from tests.passes.prune.nets import Net

_STEPS = """linear product reshape transpose broadcast reduced softmax concat slice split expand activation
gather pad normalized""".split()
_Tensor = tuple[str, tuple[int, ...]]


class _Growing:
    """A network of small tensors to which `draw` adds one step after the other."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self._draw = draw
        self.net = Net("tensors")
        self.tensors: list[_Tensor] = [(self.net.linear("x", 5, 8), (1, 4, 8))]

    def _pick(self, *values: int) -> int:
        value: int = self._draw(st.sampled_from(values))
        return value

    def _axis(self, shape: tuple[int, ...]) -> int:
        return self._pick(*range(len(shape)))

    def grow(self) -> None:
        x, shape = self.tensors[-1 - self._draw(st.integers(0, min(1, len(self.tensors) - 1)))]
        step = self._draw(st.sampled_from(_STEPS))
        result, its_shape = getattr(self, f"_{step}")(x, shape)
        if 1 < math.prod(its_shape) < 600:
            self.tensors.append((result, its_shape))

    def _linear(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        outputs = self._pick(4, 6)
        return self.net.linear(x, shape[-1], outputs, bias=bool(self._pick(0, 1))), (*shape[:-1], outputs)

    def _product(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        """With its own transpose, or with what has such a shape."""
        turned = (*shape[:-2], shape[-1], shape[-2])
        perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        others = [self.net.op("Transpose", x, perm=perm), *(t for t, size in self.tensors if size == turned)]
        scaled = self.net.op("Mul", x, self.net.const(0.1))
        return self.net.op("MatMul", scaled, self._draw(st.sampled_from(others))), (*shape[:-1], shape[-2])

    def _reshape(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis = self._axis(shape)
        if shape[axis] % 2 == 0 and len(shape) < 5:
            new = (*shape[:axis], *((2, shape[axis] // 2) if self._pick(0, 1) else (shape[axis] // 2, 2)))
            new = (*new, *shape[axis + 1 :])
        elif len(shape) > 2:
            axis = min(axis, len(shape) - 2)
            new = (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])
        else:
            new = (*shape, 1)
        return self.net.reshape(x, *new), new

    def _transpose(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        perm = self._draw(st.permutations(range(len(shape))))
        return self.net.op("Transpose", x, perm=perm), tuple(shape[axis] for axis in perm)

    def _broadcast(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        """With a constant, or with another tensor that fits."""
        kind = ("Add", "Mul", "Max")[self._pick(0, 1, 2)]
        fitting = [t for t, size in self.tensors if t != x and _broadcasts(size, shape)]
        if fitting and self._pick(0, 1):
            return self.net.op(kind, x, self._draw(st.sampled_from(fitting))), shape
        constant = self.net.weights(*(size if self._pick(0, 1) else 1 for size in shape))
        return self.net.op(kind, *((x, constant) if self._pick(0, 1) else (constant, x))), shape

    def _reduced(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis, keeps = self._axis(shape), self._pick(0, 1) or len(shape) < 3
        left = (*shape[:axis], *((1,) if keeps else ()), *shape[axis + 1 :])
        kind = ("ReduceMean", "ReduceMax")[self._pick(0, 1)]
        return self.net.op(kind, x, self.net.const(np.array([axis])), keepdims=int(keeps)), left

    def _softmax(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        return self.net.op("Softmax", x, axis=self._axis(shape)), shape

    def _concat(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis = self._axis(shape)
        constant = self.net.weights(*(size if other != axis else 2 for other, size in enumerate(shape)))
        parts = ([x, constant], [constant, x], [x, self.net.op("Softplus", x)])[self._pick(0, 1, 2)]
        more = shape[axis] if parts[1] != constant and parts[0] != constant else 2
        new = tuple(size + more * (other == axis) for other, size in enumerate(shape))
        return self.net.op("Concat", *parts, axis=axis), new

    def _slice(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis, step = self._axis(shape), self._pick(1, 2, -1)
        ends = (self._pick(0, 1), 99) if step > 0 else (-1, -99)
        taken = range(shape[axis])[slice(*ends, step)]
        given = (self.net.const(np.array([value])) for value in (*ends, axis, step))
        return self.net.op("Slice", x, *given), (*shape[:axis], len(taken), *shape[axis + 1 :])

    def _split(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis = self._axis(shape)
        if shape[axis] % 2:
            return self._activation(x, shape)
        parts = self.net.op("Split", x, outputs=2, axis=axis, num_outputs=2)
        new = (*shape[:axis], shape[axis] // 2, *shape[axis + 1 :])
        return (self.net.op("Mul", *parts) if self._pick(0, 1) else parts[1]), new

    def _expand(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        new = tuple(3 if size == 1 and self._pick(0, 1) else size for size in shape)
        return self.net.op("Expand", x, self.net.const(np.array(new))), new

    def _activation(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        return self.net.op(("Relu", "Sigmoid", "Tanh", "Erf")[self._pick(0, 1, 2, 3)], x), shape

    def _gather(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis = self._axis(shape)
        order = self._draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=1, max_size=6))
        indices = self.net.const(np.array(order))
        return self.net.op("Gather", x, indices, axis=axis), (*shape[:axis], len(order), *shape[axis + 1 :])

    def _pad(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        axis, before = self._axis(shape), self._pick(0, 1)
        pads = [before * (other == axis) for other in range(len(shape))]
        pads += [int(other == axis) for other in range(len(shape))]
        new = tuple(size + (before + 1) * (other == axis) for other, size in enumerate(shape))
        return self.net.op("Pad", x, self.net.const(np.array(pads))), new

    def _normalized(self, x: str, shape: tuple[int, ...]) -> _Tensor:
        kind = ("LayerNormalization", "RMSNormalization")[self._pick(0, 1)]
        return self.net.op(kind, x, self.net.weights(shape[-1]), axis=-1), shape


def _broadcasts(small: tuple[int, ...], large: tuple[int, ...]) -> bool:
    aligned = (1,) * (len(large) - len(small)) + small
    return len(small) <= len(large) and all(a in (1, b) for a, b in zip(aligned, large, strict=True))


@given(st.data())
@settings(max_examples=30)
def test_any_tensor_is_cut_as_it_is_masked(data: st.DataObject) -> None:
    growing = _Growing(data.draw)
    for _ in range(data.draw(st.integers(1, 8))):
        growing.grow()
    x, shape = growing.tensors[-1]
    net, size = growing.net, math.prod(shape)
    model = net.model({"x": [1, 4, 5]}, net.op("Gemm", net.reshape(x, 1, size), net.weights(size, 3)))
    dependencies = analyse(model)
    keep = {
        group.name: data.draw(st.lists(st.integers(0, group.size - 1), min_size=1, unique=True), group.name)
        for group in dependencies.groups
        if not group.frozen
    }
    _, proof = cut_and_prove(model, dependencies, keep)
    assert proof.holds, (proof, keep)
