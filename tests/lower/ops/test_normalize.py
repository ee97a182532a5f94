from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.core.fused import DOMAIN
from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, assert_close, check_node, compiled, node_model, normal


def statistics(channels: int) -> list[Array]:
    """Scale, bias, mean and variance."""
    arrays = [normal(channels, seed=i) for i in range(1, 4)]
    return [*arrays, np.abs(normal(channels, seed=4)) + 0.1]


@pytest.mark.parametrize("extents", [(), (6,), (3, 4)])
@pytest.mark.parametrize("constants", [(), (1, 2, 3, 4)])
def test_batch_normalization(extents: tuple[int, ...], constants: tuple[int, ...]) -> None:
    inputs = [normal(2, 5, *extents), *statistics(5)]
    check_node("BatchNormalization", inputs, constants=constants, epsilon=1e-3)


def test_batch_statistics_are_refused() -> None:
    inputs = [normal(2, 5, 3), *statistics(5)]
    model = node_model("BatchNormalization", inputs, outputs=["y0", "y1", "y2"], training_mode=1)
    with pytest.raises(UnsupportedError, match=r"training_mode=1 computes batch statistics.*for inference"):
        compiled(model, inputs, [inputs[0], inputs[3], inputs[4]])


@pytest.mark.parametrize("axis", [-1, 1, 0])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("outputs", [["y0"], ["y0", "y1", "y2"], ["y0", "", "y1"]])
def test_layer_normalization(axis: int, bias: bool, outputs: list[str]) -> None:
    data = normal(3, 4, 20)
    extents = data.shape[axis:]
    inputs = [data, normal(*extents, seed=1), normal(*extents, seed=2) if bias else None]
    check_node("LayerNormalization", inputs, reference="onnx", outputs=outputs, axis=axis)


@pytest.mark.parametrize("emit", ["lib", "c"])
def test_layer_normalization_of_constant_scale(emit: str) -> None:
    inputs = [normal(2, 33) + 100, normal(33, seed=1), normal(33, seed=2)]
    check_node("LayerNormalization", inputs, constants=(1, 2), emit=emit, rtol=1e-4)


@pytest.mark.parametrize("axis", [-1, 1])
def test_rms_normalization(axis: int) -> None:
    data = normal(3, 4, 20)
    inputs = [data, normal(*data.shape[axis:], seed=1)]
    check_node("RMSNormalization", inputs, reference="onnx", opset=23, axis=axis)


@pytest.mark.parametrize(
    ("op_type", "parameters", "attributes"),
    [
        ("InstanceNormalization", 2, {}),
        ("GroupNormalization", 2, {"num_groups": 3}),
        ("LRN", 0, {"size": 3, "alpha": 0.1, "beta": 0.5}),
    ],
)
@pytest.mark.parametrize("channels_last", [False, True])
def test_both_layouts(op_type: str, parameters: int, attributes: dict[str, Any], channels_last: bool) -> None:
    data = normal(2, 4, 5, 6) if channels_last else normal(2, 6, 4, 5)
    inputs = [data, *[normal(6, seed=i + 1) for i in range(parameters)]]
    if channels_last:
        check_node(f"{op_type}Nhwc", inputs, domain=DOMAIN, opset=21, **attributes)
    else:
        check_node(op_type, inputs, opset=21, **attributes)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_lp_normalization(p: int, axis: int) -> None:
    data = normal(3, 9, 11)
    check_node("LpNormalization", [data], opset=21, p=p, axis=axis)


def test_half_precision_statistics_are_single() -> None:
    data = (normal(1, 4096) + 100).astype("float16")
    model = node_model("LayerNormalization", [data, np.ones(4096, "float16")], constants=[1])
    (result,) = compiled(model, [data, None], [data])
    wide = data.astype("float64")
    want = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    assert_close(result, want.astype("float16"), 1e-3)
