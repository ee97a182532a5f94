from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.operators import check_node, compiled, node_model, normal


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [0, 1])
def test_grid_sample(mode: str, padding: str, align_corners: int) -> None:
    inputs = [normal(2, 3, 5, 4), normal(2, 6, 3, 2, seed=1) * 1.2]
    attributes: dict[str, Any] = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    check_node("GridSample", inputs, opset=20, **attributes)


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_grid_sample_of_a_volume(mode: str) -> None:
    inputs = [normal(1, 2, 3, 4, 5), normal(1, 2, 3, 2, 3, seed=1)]
    check_node("GridSample", inputs, "onnx", opset=20, mode=mode, padding_mode="border")


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_positions_that_are_no_numbers_stay_within_memory(mode: str, padding: str, emit: str) -> None:
    grid = np.array([[[[np.nan, 0], [np.inf, -np.inf], [1e30, -1e30], [0, 0]]]], "float32")
    data = np.ones((1, 1, 3, 3), "float32")
    model = node_model("GridSample", [data, grid], opset=20, mode=mode, padding_mode=padding)
    (result,) = compiled(model, [data, grid], [np.zeros((1, 1, 1, 4), "float32")], emit)
    assert result[0, 0, 0, 3] == 1
    if mode == "nearest":
        assert result[0, 0, 0, 2] == (0 if padding == "zeros" else 1)


@pytest.mark.parametrize(("groups", "offset_groups"), [(1, 1), (2, 1), (1, 2), (2, 4)])
@pytest.mark.parametrize("mask", [False, True])
def test_deform_conv(groups: int, offset_groups: int, mask: bool) -> None:
    attributes: dict[str, Any] = {"strides": [2, 1], "pads": [1, 0, 1, 0], "dilations": [1, 2]}
    inputs = [
        normal(2, 4, 6, 7),
        normal(6, 4 // groups, 3, 2, seed=1),
        normal(2, offset_groups * 12, 3, 5, seed=2),
        normal(6, seed=3),
        normal(2, offset_groups * 6, 3, 5, seed=4) if mask else None,
    ]
    check_node("DeformConv", inputs, opset=19, group=groups, offset_group=offset_groups, **attributes)


@pytest.mark.parametrize("rank", [2, 3])
def test_col2im(rank: int) -> None:
    image, block = np.array([6, 5, 4][:rank], "int64"), np.array([2, 3, 2][:rank], "int64")
    strides, dilations, pads = [2, 1, 1][:rank], [1, 2, 1][:rank], [1, 0, 1][:rank]
    counts = [
        (i + 2 * p - (b - 1) * d - 1) // s + 1
        for i, p, b, d, s in zip(image, pads, block, dilations, strides, strict=True)
    ]
    data = normal(2, 3 * int(np.prod(block)), int(np.prod(counts)))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "pads": pads * 2}
    check_node("Col2Im", [data, image, block], "onnx", constants=(1, 2), opset=18, **attributes)
