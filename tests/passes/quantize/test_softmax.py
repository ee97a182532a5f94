from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.quantize.softmax import exponentials, softmax


@pytest.mark.parametrize("scale", [0.001, 0.02, 0.1, 0.5, 3.0])
def test_exponentials_are_close_to_the_real_ones(scale: float) -> None:
    table = exponentials(scale).astype(np.float64) / 2**31
    distances = np.arange(256) * scale
    real = np.where(distances < 32, np.exp(-distances), 0.0)
    np.testing.assert_allclose(table, real, atol=2e-7)
    assert exponentials(scale)[0] == 2**31 - 1


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=300), st.sampled_from([0.02, 0.1, 0.4]))
def test_softmax_is_within_one_step(row: list[int], scale: float) -> None:
    data = np.array([row], np.int8)
    real = np.exp((data.astype(np.float64) - data.max()) * scale)
    for fraction in (8, 16):
        result = softmax(data, exponentials(scale), 1, fraction)
        assert np.abs(result - np.rint(real / real.sum() * 2**fraction)).max() <= 1


def test_unsigned_data_give_the_same_distribution() -> None:
    data = np.random.default_rng(0).integers(-128, 128, (3, 7, 2)).astype(np.int8)
    exps = exponentials(0.05)
    unsigned = (data.astype(np.int16) + 128).astype(np.uint8)
    np.testing.assert_array_equal(softmax(data, exps, 1, 8), softmax(unsigned, exps, 1, 8))


def test_a_long_row_of_equal_elements_is_all_zero() -> None:
    assert (softmax(np.zeros((1, 4095), np.int8), exponentials(0.1), 1, 8) == 0).all()
