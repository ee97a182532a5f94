"""Streaming histograms are exact, whatever the order of the values and the size of batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecompile.passes.quantize.histogram import BINS, Histogram

_numbers = arrays.arrays(
    np.float32,
    st.integers(1, 60),
    elements=st.one_of(
        st.floats(-1e4, 1e4, width=32, allow_subnormal=False),
        st.floats(-0.125, 0.125, width=32, allow_subnormal=False),
        st.just(0.0),
        st.just(3.5),
    ),
)


def counted(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    return histogram


@given(_numbers)
def test_every_number_is_in_its_bin(values: np.ndarray) -> None:
    found = counted(values)
    index = np.floor(values.astype(np.float64) / found.width).astype(int) - found.first
    assert math.log2(found.width).is_integer()
    np.testing.assert_array_equal(found.counts, np.bincount(index, minlength=BINS))
    assert (found.low, found.high) == (values.min(), values.max())


@given(st.lists(_numbers, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_order_and_batches_do_not_matter(batches: list[np.ndarray], random: object) -> None:
    whole = counted(np.concatenate(batches))
    shuffled = list(batches)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    streamed = counted(*shuffled)
    assert (streamed.width, streamed.first) == (whole.width, whole.first)
    np.testing.assert_array_equal(streamed.counts, whole.counts)


@given(_numbers)
def test_the_bins_are_as_narrow_as_they_can_be(values: np.ndarray) -> None:
    found = counted(values)
    narrower = found.width / 2
    bins = math.floor(float(values.max()) / narrower) - math.floor(float(values.min()) / narrower) + 1
    least = max(2.0**-100, float(np.abs(values).max()) * 2.0**-20)
    assert bins > BINS or narrower < least


def test_many_values_are_counted_in_pieces() -> None:
    values = np.random.default_rng(0).standard_normal(100_001).astype(np.float32)
    found = counted(values.reshape(-1, 1))
    assert found.total == len(values)
    np.testing.assert_array_equal(found.counts, counted(values[::-1]).counts)


def test_a_part_of_many_values_has_the_range_of_all() -> None:
    values = np.arange(100, dtype=np.float32)
    found = Histogram()
    found.add_part(values[3::7], 0, 99)
    assert (found.low, found.high, found.total) == (0, 99, 14)
    np.testing.assert_array_equal(np.flatnonzero(found.counts) * found.width, values[3::7])


def test_centers_lie_within_what_was_seen() -> None:
    found = counted(np.array([0.3, 0.3], np.float32))
    assert found.centers.min() == found.centers.max() == np.float32(0.3)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_must_be_finite(bad: float) -> None:
    with pytest.raises(FloatingPointError, match="not finite"):
        counted(np.array([1.0, bad], np.float32))


def test_nothing_is_counted_of_nothing() -> None:
    assert counted(np.zeros(0, np.float32)).total == 0
