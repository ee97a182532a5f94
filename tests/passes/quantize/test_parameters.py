"""Scales, zero points and rounded weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.quantize.parameters import (
    asymmetric,
    bias_safe,
    round_weights,
    symmetric,
    weight_scales,
)
from edgecompile.passes.quantize.ranges import Range


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_zero_is_exact_and_the_ends_are_within_a_step(below: float, above: float) -> None:
    found = asymmetric(Range(-below, above))
    assert -128 <= found.zero <= 127
    if below + above > 1e-6:
        assert (-128 - found.zero) * found.scale == pytest.approx(-below, abs=found.scale)
        assert (127 - found.zero) * found.scale == pytest.approx(above, abs=found.scale)


def test_a_result_of_relu_uses_all_integers() -> None:
    assert asymmetric(Range(0.0, 6.0)).zero == -128


def test_a_range_of_nothing_has_a_scale() -> None:
    assert asymmetric(Range(0.0, 0.0)).scale == 1.0
    assert asymmetric(Range(0.0, 1e-30)).scale == 1.0


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_16_bits_cover_a_range_without_a_zero_point(below: float, above: float) -> None:
    found = symmetric(Range(-below, above))
    assert (found.zero, found.dtype) == (0, "int16")
    if max(below, above) > 1e-6:
        assert found.scale * 32767 == pytest.approx(max(below, above))
    else:
        assert found.scale > 0


def test_channels_of_zeros_have_the_scale_of_the_others() -> None:
    weights = np.array([[0, 0], [127, -1]], np.float32)
    np.testing.assert_array_equal(weight_scales(weights, 0, clip=False), np.array([1, 1], np.float32))
    assert weight_scales(np.zeros((2, 2), np.float32), 0, clip=True).min() > 0


@pytest.mark.parametrize("axis", [0, 1, None])
def test_weights_round_to_the_nearest(axis: int | None) -> None:
    weights = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    scales = weight_scales(weights, axis, clip=False)
    assert scales.shape == ((1,) if axis is None else (weights.shape[axis],))
    rounded = round_weights(weights, scales, axis)
    assert np.abs(rounded.integers).max() == 127
    step = scales.max()
    np.testing.assert_allclose(rounded.real(), weights, atol=step / 2 * 1.001)


def test_clipping_an_outlier_lowers_the_error() -> None:
    weights = np.random.default_rng(0).standard_normal((1, 200_000)).astype(np.float32)
    weights[0, 0] = 8.0

    def error(clip: bool) -> float:
        rounded = round_weights(weights, weight_scales(weights, 0, clip), 0)
        return float(((rounded.real() - weights) ** 2).mean())

    assert error(clip=True) < 0.9 * error(clip=False)


def test_a_large_bias_widens_its_scale_only() -> None:
    scales = bias_safe(np.array([1e-3, 1e-9], np.float32), np.array([1.0, 1000.0], np.float32), 0.01)
    assert scales[0] == np.float32(1e-3)
    assert abs(1000.0 / (scales[1] * 0.01)) <= 2**29 * 1.001
