"""Weights in groups of 4 bits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.quantize.groupwise import Grouped, choose_scales, nearest, spread
from tests.support.matrix_networks import Array, decibels


def round_to_nearest(weights: Array, group: int) -> Grouped:
    scales = choose_scales(weights, np.ones(len(weights)), group)
    integers = nearest(weights, spread(scales, group, len(weights)))
    return Grouped(integers.astype(np.int8), scales, group)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 5),
    group=st.sampled_from([1, 4, 32]),
    exponent=st.integers(-44, 37),
    seed=st.integers(0, 9),
)
def test_every_weight_is_within_its_step(
    rows: int, columns: int, group: int, exponent: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    weights = (generator.uniform(-1, 1, (rows, columns)) * 10.0**exponent).astype(np.float32)
    weights *= generator.random((rows, columns)) < 0.7
    stored = round_to_nearest(weights, group)
    assert stored.scales.shape == (-(-rows // group), columns)
    assert np.isfinite(stored.scales).all()
    assert (stored.scales != 0).all()
    assert stored.integers.min() >= -8
    assert stored.integers.max() <= 7
    found = stored.dequantized()
    assert (found[weights == 0] == 0).all()
    greatest = np.abs(weights).max(initial=0)
    # clipping costs at most what is cut off, 1 - 0.6 of the greatest weight
    assert (np.abs(found - weights) <= max(0.41 * greatest, 1e-37)).all()


def test_scales_cut_off_what_costs_less_than_it_brings() -> None:
    weights = np.random.default_rng(0).standard_normal((256, 64))
    plain = np.abs(weights).reshape(8, 32, 64).max(axis=1) / 7
    steps = spread(plain, 32, 256)
    kept = decibels(weights, np.rint(weights / steps) * steps)
    assert decibels(weights, round_to_nearest(weights, 32).dequantized()) > kept + 1


def test_important_rows_lose_less() -> None:
    weights = np.random.default_rng(0).standard_normal((32, 64))
    importance = np.where(np.arange(32) < 4, 100.0, 1.0)
    steps = choose_scales(weights, importance, 32)
    found = nearest(weights, steps) * steps
    even = round_to_nearest(weights, 32).dequantized()
    assert decibels(weights[:4], found[:4]) > decibels(weights[:4], even[:4]) + 0.5


def test_columns_are_divided_without_a_change_of_integers() -> None:
    stored = round_to_nearest(np.random.default_rng(0).standard_normal((40, 3)), 32)
    factors = np.array([1.0, 4.0, 0.3])
    divided = stored.with_columns_divided(factors)
    assert np.array_equal(divided.integers, stored.integers)
    np.testing.assert_allclose(divided.dequantized(), stored.dequantized() / factors, rtol=1e-6)
