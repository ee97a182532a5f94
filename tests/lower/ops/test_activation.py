from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.operators import check_node, normal

X = np.concatenate([normal(90).reshape(-1) * 4, np.array([0, -90, 90, 30, -30, 1e-6], np.float32)])

CASES: list[tuple[str, dict[str, Any]]] = [
    ("Relu", {}),
    ("LeakyRelu", {"alpha": 0.2}),
    ("ThresholdedRelu", {"alpha": 0.7}),
    ("Elu", {"alpha": 1.5}),
    ("Selu", {}),
    ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("HardSwish", {}),
    ("Softplus", {}),
    ("Softsign", {}),
    ("Mish", {}),
    ("Shrink", {"lambd": 0.4, "bias": 0.1}),
    ("Gelu", {}),
    ("Gelu", {"approximate": "tanh"}),
]


@pytest.mark.parametrize(("op_type", "attributes"), CASES)
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_against_the_reference(op_type: str, attributes: dict[str, Any], emit: str) -> None:
    check_node(op_type, [X], rtol=1e-6, emit=emit, **attributes)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference's exp
def test_swish_with_a_factor() -> None:
    check_node("Swish", [X], reference="onnx", opset=24, alpha=1.7)


@pytest.mark.parametrize("op_type", ["Relu", "LeakyRelu", "Elu", "Softplus", "Mish"])
@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # of the reference's expm1
def test_other_precisions(op_type: str, dtype: str) -> None:
    x = np.clip(X, -20, 20).astype(dtype)
    check_node(op_type, [x], reference="onnx", rtol=2e-3 if dtype == "float16" else 1e-12)


@pytest.mark.parametrize("op_type", ["Relu", "LeakyRelu", "Elu", "HardSigmoid"])
def test_nan_stays(op_type: str) -> None:
    (result,) = check_node(op_type, [np.array([np.nan, 1, -1], np.float32)], reference="onnx")
    assert np.isnan(result[0])
