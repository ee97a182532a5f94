from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.coordinates import Axis
from edgecompile.lower.resample import Filter, taps_of

MODES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric")


@given(
    st.integers(1, 12),
    st.integers(1, 24),
    st.sampled_from(("nearest", "linear", "cubic")),
    st.sampled_from(MODES),
    st.booleans(),
)
def test_weights_sum_to_one_and_positions_exist(
    inputs: int, outputs: int, mode: str, coordinates: str, antialias: bool
) -> None:
    kind = Filter(mode, coordinates=coordinates, antialias=antialias and mode != "nearest")
    taps = taps_of(Axis(inputs, outputs, outputs / inputs), kind)
    assert taps.indices.shape == taps.weights.shape
    assert ((taps.indices >= 0) & (taps.indices < inputs)).all()
    np.testing.assert_allclose(taps.weights.sum(axis=1), 1, rtol=1e-5)
    assert not taps.outside.any()


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_a_straight_line_stays_straight(mode: str) -> None:
    # Keys' kernel reproduces lines for a = -0.5 only.
    taps = taps_of(Axis(10, 20, 2.0), Filter(mode, cubic_a=-0.5))
    line = np.arange(10.0)[taps.indices]
    inner = slice(4, 16)
    want = (np.arange(20) + 0.5) / 2 - 0.5
    np.testing.assert_allclose((line * taps.weights).sum(axis=1)[inner], want[inner], atol=1e-5)


@pytest.mark.parametrize(
    ("mode", "want"),
    [
        ("round_prefer_floor", [0, 0, 1, 1, 2]),
        ("round_prefer_ceil", [0, 1, 1, 2, 2]),
        ("floor", [0, 0, 1, 1, 2]),
        ("ceil", [0, 1, 1, 2, 2]),
    ],
)
def test_halves_round_as_told(mode: str, want: list[int]) -> None:
    kind = Filter("nearest", mode, "align_corners")
    taps = taps_of(Axis(3, 5, 5 / 3), kind)
    np.testing.assert_array_equal(taps.indices.ravel(), want)


def test_antialias_widens_the_kernel_when_shrinking() -> None:
    plain, wide = (taps_of(Axis(12, 3, 0.25), Filter("linear", antialias=a)).count for a in (False, True))
    assert plain <= 2 < wide


def test_what_a_crop_does_not_cover_is_marked() -> None:
    taps = taps_of(Axis(4, 6, 1.5, (0.0, 2.0)), Filter("linear", coordinates="tf_crop_and_resize"))
    assert taps.outside.tolist() == [False, False, False, True, True, True]
