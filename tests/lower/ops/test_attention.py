from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, check_node, compiled, node_model, normal


def operands(batch: int = 2, heads: int = 2, queries: int = 5, keys: int = 9, size: int = 8) -> list[Array]:
    """Query, key and value, [B, H, L, D]."""
    key_shape = (batch, heads, keys, size)
    return [normal(batch, heads, queries, size), normal(*key_shape, seed=1), normal(*key_shape, seed=2)]


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"scale": 0.3},
        {"softcap": 2.0},
        {"is_causal": 1},
        {"is_causal": 1, "softcap": 0.5, "scale": 0.1},
    ],
)
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_plain_attention(attributes: dict[str, Any], emit: str) -> None:
    check_node("Attention", operands(), "onnx", opset=24, emit=emit, **attributes)


@pytest.mark.parametrize("shape", [(5, 9), (1, 1, 5, 9), (2, 1, 1, 9), (2, 2, 5, 9), (5, 6)])
@pytest.mark.parametrize("boolean", [False, True])
def test_masks_are_broadcast_and_may_be_short(shape: tuple[int, ...], boolean: bool) -> None:
    mask = normal(*shape, seed=3)
    mask[..., 0] = 1  # every query sees a key
    given = mask > 0 if boolean else mask
    check_node("Attention", [*operands(), given], "onnx", opset=24)


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_every_stage_of_the_scores(stage: int) -> None:
    mask = normal(5, 9, seed=3)
    outputs = ["y0", "", "", "y1"]
    # The reference caps the raw scores, stage 0, as well.
    attributes: dict[str, Any] = {"qk_matmul_output_mode": stage, "softcap": 1.5 if stage else 0.0}
    check_node("Attention", [*operands(), mask], "onnx", opset=24, outputs=outputs, **attributes)


def test_a_cache_of_keys_and_values() -> None:
    past = [normal(2, 2, 4, 8, seed=5), normal(2, 2, 4, 8, seed=6)]
    inputs = [*operands(keys=5), None, *past]
    check_node("Attention", inputs, "onnx", opset=24, outputs=["y0", "y1", "y2"], is_causal=1)


def test_valid_lengths_of_padded_keys() -> None:
    inputs = [*operands(), None, None, None, np.array([3, 9], "int64")]
    check_node("Attention", inputs, "onnx", opset=24)


def test_heads_side_by_side() -> None:
    inputs = [normal(2, 5, 4 * 6), normal(2, 7, 2 * 6, seed=1), normal(2, 7, 2 * 3, seed=2)]
    check_node("Attention", inputs, "onnx", opset=24, q_num_heads=4, kv_num_heads=2)


def test_half_precision() -> None:
    inputs = [a.astype("float16") for a in operands()]
    check_node("Attention", inputs, "onnx", rtol=2e-3, opset=24)


def test_without_keys_there_is_nothing_to_attend_to() -> None:
    inputs = operands(keys=0)
    with pytest.raises(UnsupportedError, match="its keys or values are empty"):
        compiled(node_model("Attention", inputs, opset=24), inputs, [inputs[0]])
