from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import check_node, normal


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (2, 3, 5, 5)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_det(shape: tuple[int, ...], dtype: str) -> None:
    check_node("Det", [normal(*shape, dtype=dtype)], "onnx", rtol=1e-5)


def test_singular_matrices_and_zero_pivots() -> None:
    matrices = np.array([[[0, 1], [1, 0]], [[1, 2], [2, 4]], [[0, 0], [0, 0]]], np.float32)
    (result,) = check_node("Det", [matrices])
    assert result.tolist() == [-1, 0, 0]
