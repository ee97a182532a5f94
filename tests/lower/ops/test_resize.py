from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecompile.core.fused import DOMAIN
from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, check_node, compiled, node_model, normal

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


def scales(*values: float) -> list[Array | None]:
    """The inputs behind the data: no region, scales, no sizes."""
    return [None, np.array(values, "float32")]


@SLOW
@given(
    st.sampled_from(("nearest", "linear", "cubic")),
    st.sampled_from(MODES),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 14), st.integers(1, 14)),
    st.booleans(),
)
def test_sizes_modes_and_coordinates(
    mode: str, coordinates: str, extents: tuple[int, int], sizes: tuple[int, int], antialias: bool
) -> None:
    inputs = [normal(1, 2, *extents), None, None, np.array([1, 2, *sizes], "int64")]
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if antialias and mode != "nearest":
        attributes["antialias"] = 1
    check_node("Resize", inputs, "onnx", constants=[3], opset=19, **attributes)


@pytest.mark.parametrize(
    ("mode", "factors"),
    [
        ("nearest", (2.0, 2.0)),
        ("nearest", (0.5, 0.5)),
        ("nearest", (1.5, 3.0)),
        ("linear", (2.0, 2.0)),
        ("linear", (0.5, 0.5)),
        ("cubic", (1.5, 3.0)),
    ],
)
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_channels_last(mode: str, factors: tuple[float, float], emit: str) -> None:
    inputs = [normal(1, 6, 8, 5), *scales(1, 1, *factors)]
    attributes: dict[str, Any] = {
        "mode": mode,
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
    }
    check_node("ResizeNhwc", inputs, constants=[2], domain=DOMAIN, opset=19, emit=emit, **attributes)


@pytest.mark.parametrize("nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_rounding_of_positions(nearest_mode: str) -> None:
    inputs = [normal(1, 1, 5, 7), *scales(1, 1, 2, 0.6)]
    check_node("Resize", inputs, "onnx", constants=[2], opset=19, nearest_mode=nearest_mode)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect_ratio(policy: str) -> None:
    inputs = [normal(1, 1, 4, 6), None, None, np.array([7, 8], "int64")]
    attributes: dict[str, Any] = {"axes": [2, 3], "keep_aspect_ratio_policy": policy, "mode": "linear"}
    check_node("Resize", inputs, "onnx", constants=[3], opset=19, **attributes)


def test_crop_with_extrapolation() -> None:
    region = np.array([0, 0, 0.4, -0.2, 1, 1, 1.2, 0.8], "float32")
    inputs = [normal(1, 1, 4, 4), region, None, np.array([1, 1, 3, 5], "int64")]
    attributes: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"}
    check_node("Resize", inputs, "onnx", constants=[1, 3], opset=19, extrapolation_value=10.0, **attributes)


def test_exclude_outside() -> None:
    inputs = [normal(1, 1, 4, 4), *scales(1, 1, 2, 2)]
    attributes: dict[str, Any] = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    check_node("Resize", inputs, "onnx", constants=[2], opset=19, **attributes)


def test_integers_are_rounded_and_saturated() -> None:
    data = np.random.default_rng(0).integers(0, 256, (1, 1, 4, 4)).astype("uint8")
    check_node("Resize", [data, *scales(1, 1, 2, 2)], "onnx", constants=[2], opset=19, mode="cubic")


@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_upsample(mode: str) -> None:
    inputs = [normal(1, 2, 3, 4), np.array([1, 1, 2, 3], "float32")]
    check_node("Upsample", inputs, constants=[1], opset=9, mode=mode)


def test_scales_must_be_constants() -> None:
    inputs = [normal(1, 1, 2, 2), *scales(1, 1, 2, 2)]
    model = node_model("Resize", inputs, opset=19)
    with pytest.raises(UnsupportedError, match=r"input 2 \('x2'\) must be known at compile time"):
        compiled(model, inputs, [np.zeros((1, 1, 4, 4), "float32")])
