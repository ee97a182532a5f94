from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.operators import Array, check_node, compiled, node_model, normal


def regions(count: int, extent: float) -> Array:
    """x1, y1, x2, y2, partly outside of the image."""
    corners = np.random.default_rng(0).uniform(-0.2 * extent, extent, (count, 2))
    sizes = np.random.default_rng(1).uniform(0, extent, (count, 2))
    return np.concatenate([corners, corners + sizes], axis=1).astype("float32")


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("coordinates", ["half_pixel", "output_half_pixel"])
def test_roi_align(mode: str, ratio: int, coordinates: str) -> None:
    inputs = [normal(2, 3, 9, 11), regions(7, 40), np.array([0, 1, 1, 0, 1, 0, 0], "int64")]
    attributes: dict[str, Any] = {
        "mode": mode,
        "sampling_ratio": ratio,
        "coordinate_transformation_mode": coordinates,
    }
    shape: dict[str, Any] = {"output_height": 3, "output_width": 2, "spatial_scale": 0.25}
    check_node("RoiAlign", inputs, "onnx", opset=22, **attributes, **shape)


def test_an_image_that_does_not_exist_is_not_read() -> None:
    inputs = [np.ones((1, 1, 4, 4), "float32"), regions(2, 4), np.array([-7, 10**9], "int64")]
    model = node_model("RoiAlign", inputs, output_height=1, output_width=1)
    (result,) = compiled(model, inputs, [np.zeros((2, 1, 1, 1), "float32")])
    assert np.isfinite(result).all()


@pytest.mark.parametrize("emit", ["lib", "c"])
def test_max_roi_pool(emit: str) -> None:
    owners = np.array([0, 1, 1, 0, 1], "float32")[:, None]
    inputs = [normal(2, 3, 9, 11), np.concatenate([owners, regions(5, 80)], axis=1)]
    check_node("MaxRoiPool", inputs, opset=21, emit=emit, pooled_shape=[3, 4], spatial_scale=0.125)


def test_max_unpool_puts_elements_back() -> None:
    data = normal(1, 2, 4, 6)
    pool = node_model("MaxPool", [data], outputs=["y0", "y1"], kernel_shape=[2, 2], strides=[2, 2])
    greatest, positions = compiled(
        pool, [data], [np.zeros((1, 2, 2, 3), "float32"), np.zeros((1, 2, 2, 3), "int64")]
    )
    attributes: dict[str, Any] = {"kernel_shape": [2, 2], "strides": [2, 2]}
    (result,) = check_node("MaxUnpool", [greatest, positions], opset=21, **attributes)
    np.testing.assert_array_equal(
        result[result != 0],
        np.sort(data.ravel())[np.isin(np.sort(data.ravel()), greatest)][
            np.argsort(np.argsort(result[result != 0]))
        ],
    )


def test_positions_beyond_the_result_are_left_out() -> None:
    inputs = [np.ones((1, 1, 2, 2), "float32"), np.array([[[[0, -1], [15, 10**12]]]], "int64")]
    model = node_model("MaxUnpool", inputs, kernel_shape=[2, 2], strides=[2, 2])
    (result,) = compiled(model, inputs, [np.zeros((1, 1, 4, 4), "float32")])
    assert result.sum() == 2
    assert result[0, 0, 0, 0] == result[0, 0, 3, 3] == 1
