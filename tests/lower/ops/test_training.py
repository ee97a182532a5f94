from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.operators import Array, check_node, normal

DOMAIN = "ai.onnx.preview.training"


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize(
    ("op_type", "states", "attributes"),
    [
        ("Momentum", 1, {"alpha": 0.9, "beta": 0.5, "norm_coefficient": 0.01, "mode": "standard"}),
        ("Momentum", 1, {"alpha": 0.9, "beta": 0.5, "norm_coefficient": 0.01, "mode": "nesterov"}),
        ("Adagrad", 1, {"norm_coefficient": 0.01, "decay_factor": 0.1, "epsilon": 1e-5}),
        ("Adam", 2, {"alpha": 0.9, "beta": 0.99, "norm_coefficient": 0.01, "epsilon": 1e-3}),
    ],
)
def test_two_tensors(op_type: str, states: int, attributes: dict[str, Any], count: int) -> None:
    tensors = [np.abs(normal(3, 4 + i % 2, seed=i)) for i in range(2 * (states + 2))]
    inputs: list[Array | None] = [np.array(0.1, np.float32), np.array(count, np.int64), *tensors]
    outputs = [f"y{i}" for i in range(2 * (states + 1))]
    check_node(op_type, inputs, "onnx", outputs=outputs, domain=DOMAIN, **attributes)
