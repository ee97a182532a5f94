from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import check_node, normal

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5], np.float32)


@pytest.mark.parametrize(
    "op_type", ["Abs", "Neg", "Floor", "Ceil", "Round", "Sqrt", "Reciprocal", "Exp", "Tanh"]
)
def test_special_numbers(op_type: str) -> None:
    with np.errstate(all="ignore"):
        (result,) = check_node(op_type, [SPECIAL], reference="onnx")
    if op_type in ("Neg", "Abs"):
        want = -SPECIAL if op_type == "Neg" else np.abs(SPECIAL)
        np.testing.assert_array_equal(np.signbit(result[1:]), np.signbit(want[1:]))


@pytest.mark.parametrize(
    ("op_type", "low", "high"),
    [
        ("Sin", -9, 9),
        ("Cos", -9, 9),
        ("Tan", -1.5, 1.5),
        ("Asin", -1, 1),
        ("Acos", -1, 1),
        ("Atan", -9, 9),
        ("Sinh", -5, 5),
        ("Cosh", -5, 5),
        ("Asinh", -9, 9),
        ("Acosh", 1, 9),
        ("Atanh", -0.99, 0.99),
        ("Log", 1e-3, 99),
        ("Erf", -4, 4),
        ("Sigmoid", -20, 20),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference's float16
def test_functions(op_type: str, low: float, high: float, dtype: str) -> None:
    x = np.linspace(low, high, 101).astype(dtype)
    rtol = {"float32": 2e-6, "float64": 1e-12, "float16": 3e-3}[dtype]
    if op_type == "Erf":
        rtol = max(rtol, 1e-7)  # the reference computes it in single precision
    check_node(op_type, [x], reference="onnx", rtol=rtol)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_integers(dtype: str) -> None:
    x = np.array([-5, 0, 7, np.iinfo(dtype).max], dtype)
    for op_type in ("Abs", "Neg", "Sign"):
        check_node(op_type, [x], reference="onnx")


def test_sign_of_unsigned() -> None:
    check_node("Sign", [np.array([0, 1, 200], np.uint8)], reference="onnx")
    check_node("Sign", [normal(9)])
