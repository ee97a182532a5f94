from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import check_node, normal

NUMBERS = np.array([-np.inf, -1.0, -0.0, 0.0, 1.0, np.inf, np.nan], np.float32)


@pytest.mark.parametrize("op_type", ["Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"])
def test_comparison_of_special_numbers(op_type: str) -> None:
    check_node(op_type, [NUMBERS[:, None], NUMBERS])


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "float64", "float16"])
def test_comparison_of_types(dtype: str) -> None:
    a, b = np.arange(9).astype(dtype), np.arange(9)[::-1].astype(dtype)
    for op_type in ("Equal", "Less", "GreaterOrEqual"):
        check_node(op_type, [a, b], reference="onnx")


@pytest.mark.parametrize("op_type", ["And", "Or", "Xor", "Equal"])
def test_truth_table(op_type: str) -> None:
    truth = np.array([False, True])
    check_node(op_type, [truth[:, None], truth], reference="onnx")


def test_not() -> None:
    check_node("Not", [np.array([True, False, True])])


@pytest.mark.parametrize("positive", [0, 1])
@pytest.mark.parametrize("negative", [0, 1])
def test_which_infinity(positive: int, negative: int) -> None:
    check_node("IsInf", [NUMBERS], detect_positive=positive, detect_negative=negative)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_is_nan(dtype: str) -> None:
    check_node("IsNaN", [NUMBERS.astype(dtype)], reference="onnx")


def test_binarizer() -> None:
    check_node("Binarizer", [normal(3, 4)], domain="ai.onnx.ml", threshold=0.25)
