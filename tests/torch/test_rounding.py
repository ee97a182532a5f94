"""Rounding that is learned: what it starts from, what it may become."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.quantize.insert_quantization import Contraction
from edgecompile.passes.quantize.parameters import round_weights, weight_scales
from edgecompile.torch.rounding import LearnedRounding

Array = np.ndarray[Any, Any]


def contraction(weights: Array, axis: int | None = 0) -> Contraction:
    """Scales that cut off some of the greatest weights."""
    scales = weight_scales(weights, axis, clip=True)
    return Contraction(round_weights(weights, scales, axis), None, 0.5)


def sample_weights(seed: int = 0) -> Array:
    weights = np.random.default_rng(seed).standard_normal((6, 8, 3, 3)).astype(np.float32)
    weights.reshape(6, -1)[:, ::3] = 0
    return weights


@pytest.mark.parametrize("axis", [0, None])
def test_it_starts_from_the_float_weights(axis: int | None) -> None:
    weights = sample_weights()
    start = contraction(weights, axis)
    learned = LearnedRounding(weights, np.zeros(6, np.float32), start)
    limits = 127 * start.weights.scales.reshape((-1, 1, 1, 1) if axis == 0 else ())
    np.testing.assert_allclose(
        learned.soft_weights().detach().numpy(), np.clip(weights, -limits, limits), atol=1e-6
    )
    np.testing.assert_array_equal(learned.soft_bias().detach().numpy(), np.zeros(6))
    np.testing.assert_array_equal(learned.hardened().weights.integers, start.weights.integers)


@given(seed=st.integers(0, 1000), axis=st.sampled_from([0, None]), far=st.floats(0.1, 50))
def test_integers_stay_within_one_of_the_nearest(seed: int, axis: int | None, far: float) -> None:
    weights = sample_weights(seed)
    start = contraction(weights, axis)
    learned = LearnedRounding(weights, np.zeros(6, np.float32), start)
    moved = torch.from_numpy(np.random.default_rng(seed).standard_normal(weights.shape))
    with torch.no_grad():
        learned.variables[0].add_(far * moved.float())
    integers = learned.hardened().weights.integers
    assert integers.dtype == np.int8
    assert np.abs(integers.astype(int) - start.weights.integers).max() <= 1
    assert np.abs(integers.astype(int)).max() <= 127
    assert not integers[weights == 0].any()
    np.testing.assert_array_equal(learned.hardened().weights.scales, start.weights.scales)


def test_undecided_is_nothing_when_every_weight_is_on_a_step() -> None:
    weights = sample_weights()
    learned = LearnedRounding(weights, None, contraction(weights))
    assert 0.2 < learned.undecided(2.0).item() / learned.count < 0.9
    with torch.no_grad():
        learned.variables[0].copy_(torch.where(learned.variables[0] > 0, 10.0, -10.0))
    assert learned.undecided(2.0).item() == 0
    hard = learned.hardened()
    np.testing.assert_allclose(learned.soft_weights().detach().numpy(), hard.weights.real(), atol=1e-6)
    assert hard.bias is None
    assert not learned.has_bias
