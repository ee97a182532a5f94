from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import check_node, normal


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int64", "float64"])
def test_top_k(axis: int, largest: int, dtype: str) -> None:
    x = (normal(6, 5) * 100).astype(dtype)
    outputs = ("values", "places")
    inputs = [x, np.array([3], np.int64)]
    check_node("TopK", inputs, constants={1}, outputs=outputs, axis=axis, largest=largest)


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_cumulative_sum(exclusive: int, reverse: int, dtype: str) -> None:
    inputs = [(normal(3, 7) * 9).astype(dtype), np.array(-1, np.int64)]
    check_node("CumSum", inputs, constants={1}, exclusive=exclusive, reverse=reverse)


def test_cumulative_product() -> None:
    check_node("CumProd", [normal(3, 7), np.array(0, np.int64)], "onnx", constants={1}, opset=26)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_hardmax_marks_the_first(axis: int) -> None:
    x = np.random.default_rng(0).integers(0, 3, (3, 4, 5)).astype(np.float32)
    check_node("Hardmax", [x], axis=axis)
