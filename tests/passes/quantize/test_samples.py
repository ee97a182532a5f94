"""Calibration data are checked against the network, and refused in plain words."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError
from edgecompile.passes.quantize.samples import Samples

PICTURE = TensorInfo("x", (1, 3, 4, 5), "float32")
STATE = TensorInfo("h", (2,), "float32")


def samples(*items: Any, infos: tuple[TensorInfo, ...] = (PICTURE,)) -> Samples:
    return Samples(lambda: items, infos, "data.npz")


def refusal(*items: Any, infos: tuple[TensorInfo, ...] = (PICTURE,)) -> str:
    with pytest.raises(InputError) as caught:
        list(samples(*items, infos=infos))
    return str(caught.value)


@pytest.mark.parametrize(
    ("shape", "count"), [((1, 3, 4, 5), 1), ((3, 4, 5), 1), ((7, 3, 4, 5), 7), ((2, 1, 3, 4, 5), 2)]
)
def test_one_sample_or_a_batch(shape: tuple[int, ...], count: int) -> None:
    found = list(samples(np.zeros(shape, np.float64)))
    assert len(found) == count
    assert all(sample["x"].shape == (1, 3, 4, 5) and sample["x"].dtype == np.float32 for sample in found)


def test_every_iteration_starts_again() -> None:
    data = samples(np.zeros((5, 3, 4, 5), np.float32))
    assert len(list(data)) == len(list(data)) == 5
    assert len(list(data.first(2))) == 2


def test_several_inputs_by_name_position_or_number() -> None:
    picture, state = np.zeros((2, 3, 4, 5), np.float32), np.ones((2, 2), np.float32)
    infos = (PICTURE, STATE)
    for item in ({"x": picture, "h": state}, {"in_0": picture, "in_1": state}, (picture, state)):
        found = list(samples(item, infos=infos))
        assert len(found) == 2
        assert found[1]["h"].tolist() == [1, 1]


def test_the_only_input_may_be_called_x() -> None:
    info = TensorInfo("data:0", (1, 2), "float32")
    assert len(list(samples({"x": np.zeros((4, 2))}, infos=(info,)))) == 4


def test_a_missing_input_is_named() -> None:
    message = refusal({"x": np.zeros((1, 3, 4, 5))}, infos=(PICTURE, STATE))
    assert "error[EC3304] an input of the network has no data at 'data.npz': sample 0 has x" in message
    assert "nothing for 'h'" in message
    assert "name the arrays like the network's inputs: x, h" in message


def test_inputs_of_different_lengths_are_refused() -> None:
    message = refusal({"x": np.zeros((2, 3, 4, 5)), "h": np.zeros((3, 2))}, infos=(PICTURE, STATE))
    assert "inputs differ in their number of samples" in message
    assert "'x' 2, 'h' 3" in message


def test_a_wrong_shape_is_shown() -> None:
    message = refusal(np.zeros((2, 3, 9, 9)))
    assert "error[EC3302] the data have the wrong shape at 'data.npz'" in message
    assert "'x' takes (1, 3, 4, 5), the data are (2, 3, 9, 9)" in message


@pytest.mark.parametrize(
    ("shape", "advice"),
    [((8, 4, 5, 3), "x.transpose(0, 3, 1, 2)"), ((4, 5, 3), "x.transpose(2, 0, 1)")],
)
def test_channels_last_data_are_recognised(shape: tuple[int, ...], advice: str) -> None:
    assert f"the axes are in another order: {advice}" in refusal(np.zeros(shape))


def test_pixels_as_integers_are_refused() -> None:
    message = refusal(np.zeros((1, 3, 4, 5), np.uint8))
    assert "'x' is float32, the data are uint8" in message
    assert "x.astype('float32') / 255" in message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_must_be_finite(bad: float) -> None:
    data = np.zeros((3, 3, 4, 5), np.float32)
    data[2, 0, 0, 0] = bad
    assert "error[EC3303] the data contain NaN or infinity at 'data.npz': sample 2 of 'x'" in refusal(data)


def test_raw_pixels_are_pointed_out() -> None:
    data = np.full((1, 3, 4, 5), 255.0, np.float32)
    with pytest.warns(UserWarning, match="'x' holds whole numbers up to 255 in data.npz: .* normalization"):
        list(samples(data))


def test_normalized_data_are_fine() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        list(samples(np.full((1, 3, 4, 5), 2.5, np.float32)))
