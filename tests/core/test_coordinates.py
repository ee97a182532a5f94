"""Coordinates of Resize, by the examples of its specification and by what the modes are for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.coordinates import Axis, coordinates_of


def test_one_output_sits_where_the_mode_says() -> None:
    axis = Axis(4, 1, 0.25)
    assert coordinates_of(axis, "pytorch_half_pixel")[0] == -0.5
    assert coordinates_of(axis, "align_corners")[0] == 0
    assert coordinates_of(axis, "half_pixel")[0] == 1.5


@given(st.integers(2, 20), st.integers(2, 40))
def test_aligned_corners_meet_and_pixels_are_symmetric(inputs: int, outputs: int) -> None:
    axis = Axis(inputs, outputs, outputs / inputs)
    assert coordinates_of(axis, "align_corners")[[0, -1]] == pytest.approx([0, inputs - 1])
    centred = coordinates_of(axis, "half_pixel")
    np.testing.assert_allclose(centred + centred[::-1], inputs - 1, atol=1e-9)
    assert coordinates_of(axis, "asymmetric")[0] == 0


def test_a_crop_runs_from_its_start_to_its_end() -> None:
    axis = Axis(5, 3, 3 / 5, (0.25, 0.75))
    assert coordinates_of(axis, "tf_crop_and_resize").tolist() == [1.0, 2.0, 3.0]
