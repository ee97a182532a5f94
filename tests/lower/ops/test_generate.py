from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from tests.support.operators import Array, check_node, compiled, node_model, normal


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [None, -2, 0, 1, 9])
@pytest.mark.parametrize("constant", [True, False])
def test_triangles(upper: int, k: int | None, constant: bool) -> None:
    diagonal = None if k is None else np.array(k, np.int64)
    constants = {1} if constant and k is not None else ()
    check_node("Trilu", [normal(2, 4, 5), diagonal], constants=constants, upper=upper)


@pytest.mark.parametrize("k", [-1, 0, 2])
def test_diagonals(k: int) -> None:
    check_node("EyeLike", [normal(3, 5)], k=k, dtype=TensorProto.INT32)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot(axis: int) -> None:
    indices = np.array([[0, 2, -1], [4, -5, 7]], np.int64)
    inputs: list[Array | None] = [indices, np.array(5, np.int64), np.array([-1, 3], np.float32)]
    check_node("OneHot", inputs, constants={1}, axis=axis)


def test_constant_of_shape() -> None:
    value = numpy_helper.from_array(np.array([7], np.int8))
    check_node("ConstantOfShape", [np.array([2, 3], np.int64)], constants={0}, value=value)
    check_node("ConstantOfShape", [np.array([4], np.int64)], constants={0})


@pytest.mark.parametrize("dtype", ["int64", "int32", "float32"])
def test_range(dtype: str) -> None:
    inputs = [np.array(value, dtype) for value in (10, -3, -4)]
    check_node("Range", inputs, constants={0, 1, 2})


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_compress(axis: int | None) -> None:
    condition = np.array([False, True, True])
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    check_node("Compress", [normal(3, 4), condition], "onnx", constants={1}, **attributes)


def test_nothing_is_selected() -> None:
    inputs = [normal(3, 4), np.array([False, False])]
    model = node_model("Compress", inputs, constants={1}, axis=0)
    (result,) = compiled(model, inputs, [np.zeros((0, 4), np.float32)])
    assert result.shape == (0, 4)
