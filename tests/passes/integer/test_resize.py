"""Where linear interpolation in integers reads, and which Resize has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.core.integer import Rounding
from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.operators import normal
from tests.support.passes import node_of
from tests.support.quantized import QuantizedGraph, converted, parameters


def resized(
    data: np.ndarray, sizes: list[int], dtype: str = "int8", share: bool = True, **attributes: Any
) -> Model:
    """A Resize to `sizes`; with `share`, its result has the scale of its data."""
    graph = QuantizedGraph(dtype)
    x = graph.input(data)
    result = graph.node("Resize", [x, "", "", graph.constant(np.array(sizes))], **attributes)
    return graph.model(graph.quantized(result, like=data if share else None))


def positions(model: Model) -> list[int]:
    found = constant_of(node_of(model, "ResizeLinear").inputs[1])
    assert found is not None
    return [int(place) for place in found]


def line(sizes: int, mode: str, rounding: Rounding) -> list[int]:
    before = resized(normal(1, 1, 7), [1, 1, sizes], mode="linear", coordinate_transformation_mode=mode)
    return positions(converted(before, rounding))


def test_positions_are_rounded_one_by_one() -> None:
    assert line(9, "asymmetric", "single") == [min(round(1024 * 7 / 9 * i), 6144) for i in range(9)]
    assert line(9, "align_corners", "float") == [768 * i for i in range(9)]
    centred = [min(max(1024 * ((i + 0.5) * 7 / 9 - 0.5), 0), 6144) for i in range(9)]
    assert line(9, "half_pixel", "single") == [round(place) for place in centred]


def test_positions_of_tflite_are_multiples_of_a_rounded_step() -> None:
    assert line(9, "asymmetric", "double") == [796 * i for i in range(8)] + [6144]
    assert line(9, "half_pixel", "double") == [max(796 * i + 398 - 512, 0) for i in range(8)] + [6144]


def test_a_shared_scale_needs_no_multiplier() -> None:
    data, sizes = normal(1, 4, 5, 6), [1, 4, 8, 9]
    for share, count in ((True, 2), (False, 4)):
        model = converted(resized(data, sizes, share=share, mode="linear"), "single")
        assert len(node_of(model, "ResizeLinear").inputs) == count


@pytest.mark.parametrize("sizes", [[1, 4, 9, 13], [1, 4, 3, 4], [1, 4, 7, 6]])
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_near_the_real_numbers(dtype: str, sizes: list[int]) -> None:
    data = normal(1, 4, 6, 6)
    before = resized(data, sizes, dtype, mode="linear")
    feeds = generate_inputs(before.inputs, 0)
    (got,) = Interpreter(converted(before, "single", dtype)).run(feeds)
    (real,) = run_model(before, feeds)
    assert np.abs(got - real).max() < 1.01 * parameters(data, dtype)[0]


FLOAT = {
    "cubic": {"mode": "cubic"},
    "antialias": {"mode": "linear", "antialias": 1},
    "aspect ratio": {"mode": "linear", "keep_aspect_ratio_policy": "not_larger", "axes": [2, 3]},
}


@pytest.mark.parametrize("attributes", FLOAT.values(), ids=FLOAT)
def test_other_interpolations_stay_float(attributes: dict[str, Any]) -> None:
    sizes = [9, 9] if "axes" in attributes else [1, 4, 9, 9]
    notes = converted(resized(normal(1, 4, 6, 6), sizes, **attributes), "single").notes
    assert any("in float: only plain linear interpolation has an integer form" in note for note in notes)


def test_16_bits_stay_float() -> None:
    notes = converted(resized(normal(1, 4, 6, 6), [1, 4, 9, 9], "int16", mode="linear"), "single").notes
    assert any("in float: its sums do not fit 32 bits" in note for note in notes)
