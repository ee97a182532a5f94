from __future__ import annotations

import numpy as np
import pytest

from edgecompile.errors import UnsupportedError
from tests.support.operators import check_node, compiled, node_model, normal

REDUCTIONS = ["none", "add", "mul", "max", "min"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scatter_elements(reduction: str, axis: int) -> None:
    rng = np.random.default_rng(0)
    one_each = np.argsort(rng.random((4, 4, 3)), axis=axis)[:2] - 2
    indices = one_each if reduction == "none" else rng.integers(-3, 3, (2, 4, 3))
    inputs = [normal(4, 4, 3), indices % (3 if axis == -1 else 4), normal(2, 4, 3, seed=1)]
    check_node("ScatterElements", inputs, "onnx", axis=axis, reduction=reduction)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("depth", [1, 2])
def test_scatter_nd(reduction: str, depth: int) -> None:
    last = [0, 1] if reduction == "none" else [-1, -1]  # without a reduction places must differ
    indices = np.array([[[1, 0]], [[3, 1]], [last]])
    shape = (3, 1, *(4, 2, 5)[depth:])
    inputs = [normal(4, 2, 5), indices[..., :depth], normal(*shape, seed=1)]
    check_node("ScatterND", inputs, "onnx", reduction=reduction)


def test_the_last_of_equal_places_stays() -> None:
    inputs = [np.zeros(3, np.float32), np.array([1, 1]), np.array([5, 7], np.float32)]
    (result,) = check_node("ScatterElements", inputs, "onnx")
    assert result.tolist() == [0, 7, 0]


def test_integers_wrap() -> None:
    inputs = [np.array([250], np.uint8), np.array([0, 0]), np.array([4, 4], np.uint8)]
    check_node("ScatterElements", inputs, "onnx", reduction="add")


def test_unknown_reduction_is_refused() -> None:
    inputs = [normal(3), np.array([0]), normal(1)]
    with pytest.raises(UnsupportedError, match="reduction 'xor' is not known"):
        compiled(node_model("ScatterElements", inputs, reduction="xor"), inputs, [normal(3)])


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_cache_update(mode: str) -> None:
    start = 3 if mode == "circular" else 2
    inputs = [normal(2, 1, 4, 3), normal(2, 1, 2, 3, seed=1), np.array([start, 0])]
    check_node("TensorScatter", inputs, "onnx", opset=24, mode=mode)
