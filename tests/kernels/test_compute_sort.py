from __future__ import annotations

import operator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.kernels.compute_sort import scan, top_k
from tests.support.kernels import Array, compute


def _stable_order(x: Array, axis: int, largest: bool) -> Array:
    return np.argsort(-x if largest else x, axis=axis, kind="stable")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.booleans(), st.data())
def test_top_k_is_a_stable_sort(extents: list[int], largest: bool, data: st.DataObject) -> None:
    axis = data.draw(st.integers(0, len(extents) - 1))
    count = data.draw(st.integers(1, extents[axis]))
    x = np.random.default_rng(0).integers(-3, 3, extents).astype(np.float32)
    values, places = compute(lambda t: top_k(t, axis, count, largest), x)
    want = np.take(_stable_order(x, axis, largest), range(count), axis)
    np.testing.assert_array_equal(places, want)
    np.testing.assert_array_equal(values, np.take_along_axis(x, want, axis))


def test_nan_is_larger_than_infinity() -> None:
    x = np.array([1, np.inf, np.nan, -np.inf], np.float32)
    assert compute(lambda t: top_k(t, 0, 4, True), x)[1].tolist() == [2, 1, 0, 3]
    assert compute(lambda t: top_k(t, 0, 4, False), x)[1].tolist() == [3, 0, 1, 2]


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_totals(exclusive: bool, reverse: bool) -> None:
    x = np.arange(1, 25, dtype=np.int32).reshape(2, 4, 3)
    (got,) = compute(lambda t: scan(t, 1, operator.add, 0, exclusive, reverse), x)
    flipped = np.flip(x, 1) if reverse else x
    total = np.cumsum(flipped, axis=1) - (flipped if exclusive else 0)
    np.testing.assert_array_equal(got, np.flip(total, 1) if reverse else total)
