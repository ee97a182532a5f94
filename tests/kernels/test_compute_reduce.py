from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from edgecompile.kernels.compute_reduce import MAXIMUM, MINIMUM, SUM, find_extreme, reduce
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 19), min_size=1, max_size=4), st.data())
def test_any_axes(extents: list[int], data: st.DataObject) -> None:
    axes = sorted(data.draw(st.sets(st.integers(0, len(extents) - 1))))
    x = np.abs(normal(*extents))  # a sum that cancels has no relative accuracy
    (total,) = compute(lambda t: reduce(t, axes, SUM, "float32"), x)
    assert_close(total, x.sum(axis=tuple(axes), keepdims=True))
    (high,) = compute(lambda t: reduce(t, axes, MAXIMUM, "float32"), x)
    np.testing.assert_array_equal(high, x.max(axis=tuple(axes), keepdims=True))


@pytest.mark.parametrize("computed", [False, True])
def test_rows_and_composed_definitions_agree(computed: bool) -> None:
    x = normal(5, 37)

    def squares(t: te.Tensor) -> te.Tensor:
        source = te.compute(t.shape, lambda *i: t(*i), name="copy") if computed else t
        return reduce(source, [1], SUM, "float32", before=lambda v: v * v)

    assert_close(compute(squares, x)[0], (x * x).sum(axis=1, keepdims=True))


def test_nan_is_the_extreme() -> None:
    x = normal(4, 20)
    x[1, 3] = x[2, 19] = np.nan
    for reducer, reference in ((MAXIMUM, np.max), (MINIMUM, np.min)):
        (got,) = compute(lambda t, r=reducer: reduce(t, [1], r, "float32"), x)
        np.testing.assert_array_equal(got, reference(x, axis=1, keepdims=True))


@pytest.mark.parametrize("lowest", [False, True])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_place_of_the_extreme_among_equals(lowest: bool, last: bool, axis: int) -> None:
    x = np.random.default_rng(0).integers(0, 4, (3, 7, 5)).astype(np.float32)
    (got,) = compute(lambda t: find_extreme(t, axis, lowest, last), x)
    find = np.argmin if lowest else np.argmax
    ordered = np.flip(x, axis) if last else x
    want = find(ordered, axis=axis, keepdims=True)
    np.testing.assert_array_equal(got, x.shape[axis] - 1 - want if last else want)


def test_first_nan_is_the_place() -> None:
    x = np.array([[1, np.nan, 9, np.nan], [4, 3, 2, 1]], np.float32)
    (got,) = compute(lambda t: find_extreme(t, 1, False, False), x)
    np.testing.assert_array_equal(got, [[1], [0]])
