"""Ranges: what each method covers, and that every one is usable."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecompile.passes.quantize.histogram import Histogram
from edgecompile.passes.quantize.parameters import asymmetric
from edgecompile.passes.quantize.ranges import RANGES, Range, RangeMethod


def histogram_of(values: np.ndarray) -> Histogram:
    histogram = Histogram()
    histogram.add(values.astype(np.float32))
    return histogram


@given(
    arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e3, 1e3, width=32)),
    st.sampled_from(sorted(RANGES)),
)
def test_every_range_is_finite_and_contains_zero(values: np.ndarray, method: RangeMethod) -> None:
    found = RANGES[method](histogram_of(values))
    assert min(float(values.min()), 0.0) <= found.low <= 0.0 <= found.high <= max(float(values.max()), 0.0)
    parameters = asymmetric(found)
    assert parameters.scale > 0
    assert np.isfinite(parameters.scale)


@pytest.mark.parametrize("method", sorted(RANGES))
def test_a_uniform_distribution_is_covered_whole(method: RangeMethod) -> None:
    found = RANGES[method](histogram_of(np.linspace(-1, 3, 100_000)))
    assert found.low == pytest.approx(-1, abs=0.05)
    assert found.high == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize("method", ["percentile", "mse", "entropy"])
def test_an_outlier_is_cut_off(method: RangeMethod) -> None:
    values = np.append(np.random.default_rng(1).standard_normal(500_000), 60.0)
    assert RANGES["min-max"](histogram_of(values)).high == 60.0
    assert RANGES[method](histogram_of(values)).high < 45.0


def test_the_least_error_is_least() -> None:
    """Against the error of real rounding, for every range of a grid."""
    values = np.random.default_rng(2).laplace(size=40_000).astype(np.float32)
    found = RANGES["mse"](histogram_of(values))

    def error(covered: Range) -> float:
        parameters = asymmetric(covered)
        whole = np.clip(np.rint(values / parameters.scale) + parameters.zero, -128, 127)
        return float(((whole - parameters.zero) * parameters.scale - values).astype(np.float64).var())

    grid = [
        Range(float(values.min()) * s, float(values.max()) * t) for s in (0.4, 0.6, 1) for t in (0.4, 0.6, 1)
    ]
    assert error(found) <= 1.02 * min(map(error, grid))


def test_ranges_are_joined() -> None:
    assert Range(-1, 2).union(Range(-3, 1)) == Range(-3, 2)
    assert Range.of(1, 2) == Range(0, 2)
