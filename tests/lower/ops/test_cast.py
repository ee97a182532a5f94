from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import helper

from edgecompile.errors import UnsupportedError
from tests.support.operators import check_node, compiled, node_model, normal

TYPES = ("float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "uint64", "bool")


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(TYPES, 2)))
def test_all_pairs(source: str, target: str) -> None:
    x = np.array([0, 1, 2, 100, 7, 3, 0, 5, 64, 127], source)
    check_node("Cast", [x], reference="onnx", to=helper.np_dtype_to_tensor_dtype(np.dtype(target)))


def test_floats_are_truncated_towards_zero() -> None:
    x = np.array([-1.9, -0.5, 0.5, 1.9], np.float32)
    (result,) = check_node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype("int32")))
    assert result.tolist() == [-1, 0, 0, 1]


def test_out_of_range_saturates() -> None:
    x, like = np.array([1e20, -1e20, np.nan], np.float32), np.zeros(3, np.int8)
    (result,) = compiled(node_model("CastLike", [x, like]), [x, like], [like])
    assert result.tolist() == [127, -128, 0]


def test_integers_wrap() -> None:
    x = np.array([300, -300, 255, 128], np.int32)
    check_node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype("int8")))


def test_nan_is_true() -> None:
    x = np.array([np.nan, 0.0, -0.0, 1e-30], np.float32)
    (result,) = check_node("Cast", [x], to=helper.np_dtype_to_tensor_dtype(np.dtype("bool")))
    assert result.tolist() == [True, False, False, True]


SAME_WIDTH = [("float32", "int32"), ("int64", "float64"), ("uint16", "float16")]


@pytest.mark.parametrize(("source", "target"), SAME_WIDTH)
def test_bits_are_kept(source: str, target: str) -> None:
    x = (normal(9) * 100).astype(source)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(target))
    (result,) = compiled(node_model("BitCast", [x], opset=26, to=kind), [x], [x.view(target)])
    np.testing.assert_array_equal(result.view(np.uint8), x.view(np.uint8))


def test_bits_of_another_width_are_refused() -> None:
    x = np.zeros(4, np.float32)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype("int64"))
    with pytest.raises(UnsupportedError, match="float32 and int64 differ in width"):
        compiled(node_model("BitCast", [x], opset=26, to=kind), [x], [x.astype(np.int64)])
