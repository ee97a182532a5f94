"""Rounding that makes up for its errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.quantize.gptq import Curvature, gptq
from tests.passes.quantize.test_groupwise import round_to_nearest
from tests.support.matrix_networks import Array, correlated, decibels


def moments(rows: Array) -> Array:
    return np.asarray(rows.T.astype(np.float64) @ rows)


def test_results_are_closer_than_with_the_nearest_integers() -> None:
    weights = np.random.default_rng(0).standard_normal((96, 40))
    curvature = Curvature.of(moments(correlated(96, 400, seed=1)))
    rows = correlated(96, 400, seed=2)
    found, plain = gptq(weights, [curvature], 32)[0], round_to_nearest(weights, 32)
    ratios = [decibels(rows @ weights, rows @ stored.dequantized()) for stored in (found, plain)]
    assert ratios[0] > ratios[1] + 6


def test_the_error_is_that_of_the_results() -> None:
    weights = np.random.default_rng(0).standard_normal((160, 12))
    second = moments(correlated(160, 2000, seed=1))
    stored, error = gptq(weights, [Curvature.of(second)], 32)
    change = stored.dequantized() - weights
    damped = second + np.diag(0.1 * np.diag(second))
    assert error == pytest.approx(float(np.sum(change * (damped @ change))), rel=1e-3)


def test_inputs_without_correlation_are_rounded_to_nearest() -> None:
    weights = np.random.default_rng(0).standard_normal((40, 7))
    found, plain = gptq(weights, [Curvature.of(5 * np.eye(40))], 32)[0], round_to_nearest(weights, 32)
    assert np.array_equal(found.integers, plain.integers)
    assert np.array_equal(found.scales, plain.scales)


def test_slices_are_independent() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 5))
    parts = [Curvature.of(moments(correlated(32, 100, seed))) for seed in (1, 2)]
    both, error = gptq(weights, parts, 16)
    singles = [gptq(weights[i : i + 32], [part], 16) for i, part in zip((0, 32), parts, strict=True)]
    assert np.array_equal(both.integers, np.concatenate([stored.integers for stored, _ in singles]))
    assert np.array_equal(both.scales, np.concatenate([stored.scales for stored, _ in singles]))
    assert error == pytest.approx(sum(more for _, more in singles))


def test_factors_are_those_of_the_network() -> None:
    """Factors for weights, or weights and inputs that are scaled already: the same integers."""
    generator = np.random.default_rng(0)
    weights, rows = generator.standard_normal((48, 9)), correlated(48, 500, seed=1)
    factors = np.exp(0.3 * generator.standard_normal(48))
    curvature = Curvature.of(moments(rows))
    stored, _ = gptq(weights, [curvature], 16, factors)
    plain, _ = gptq(weights, [curvature], 16)
    scaled = stored.dequantized() / factors[:, None]
    assert not np.array_equal(stored.integers, plain.integers)
    assert (
        decibels(rows @ weights, rows @ scaled) > decibels(rows @ weights, rows @ plain.dequantized()) - 1.5
    )


def test_pruned_weights_stay_zero() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 10))
    smallest = np.argsort(np.abs(weights.reshape(16, 4, 10)), axis=1)[:, :2]
    blocks = weights.reshape(16, 4, 10)
    np.put_along_axis(blocks, smallest, 0.0, axis=1)
    rows = correlated(64, 300, seed=1)
    stored, _ = gptq(weights, [Curvature.of(moments(rows))], 32)
    assert (stored.integers[weights == 0] == 0).all()
    assert ((stored.integers.reshape(16, 4, 10) != 0).sum(axis=1) <= 2).all()
    plain = round_to_nearest(weights, 32).dequantized()
    assert decibels(rows @ weights, rows @ stored.dequantized()) > decibels(rows @ weights, rows @ plain) + 3


@settings(max_examples=40)
@given(rows=st.integers(0, 3), inputs=st.integers(1, 140), dead=st.integers(0, 5), seed=st.integers(0, 9))
def test_few_samples_and_dead_inputs(rows: int, inputs: int, dead: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    samples = generator.standard_normal((rows, inputs)) * 10.0 ** generator.integers(-15, 15)
    samples[:, :dead] = 0
    weights = generator.standard_normal((inputs, 3))
    stored, error = gptq(weights, [Curvature.of(moments(samples))], 32)
    assert np.isfinite(error)
    assert np.isfinite(stored.scales).all()
    # an input that no sample shows keeps its weights as near as rounding lets it
    steps = np.abs(np.repeat(stored.scales, 32, axis=0)[:inputs])
    unclipped = np.abs(stored.integers) < 7
    off = np.abs(stored.dequantized() - weights) > 0.51 * steps
    assert not (off & unclipped)[:dead].any()
