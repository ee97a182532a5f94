from __future__ import annotations

import numpy as np
import pytest
from tvm import te

from edgecompile.kernels.compute import Layout, Window
from edgecompile.kernels.compute_pool import (
    average_pool,
    global_average_pool,
    global_lp_pool,
    global_max_pool,
    lp_pool,
    max_pool,
    max_pool_indices,
)
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal

NCHW, NHWC = Layout(channels_last=False), Layout(channels_last=True)
PADDED = Window((3,), (2,), (1,), (1,), (1,))


def test_max_of_minus_infinities_is_minus_infinity() -> None:
    data = np.full((1, 1, 5), -np.inf, "float32")
    (result,) = compute(lambda x: max_pool(x, PADDED, (1, 1, 3), NCHW), data)
    np.testing.assert_array_equal(result, np.full((1, 1, 3), -np.inf))


def test_padding_never_wins_a_maximum() -> None:
    data = np.full((1, 1, 5), -3, "int8")
    (result,) = compute(lambda x: max_pool(x, PADDED, (1, 1, 3), NCHW), data)
    np.testing.assert_array_equal(result, np.full((1, 1, 3), -3))


@pytest.mark.parametrize(("column_major", "want"), [(False, [3, 8]), (True, [1, 10])])
def test_position_of_the_first_greatest_element(column_major: bool, want: list[int]) -> None:
    # Two channels; the second one has its greatest element, twice, at rows 0 and 1 of the last column.
    data = np.zeros((1, 2, 2, 3), "float32")
    data[0, 0, 1, 0] = 1
    data[0, 1, :, 2] = 2
    window = Window((2, 3), (1, 1), (1, 1), (0, 0), (0, 0))

    def definition(x: te.Tensor) -> list[te.Tensor]:
        greatest = max_pool(x, window, (1, 2, 1, 1), NCHW)
        return [greatest, max_pool_indices(x, greatest, window, NCHW, column_major)]

    greatest, positions = compute(definition, data)
    np.testing.assert_array_equal(greatest.ravel(), [1, 2])
    assert positions.dtype == np.int64
    np.testing.assert_array_equal(positions.ravel(), want)


@pytest.mark.parametrize(("count_pads", "want"), [(False, [1.5, 3, 4.5]), (True, [1, 3, 3])])
def test_average_counts_padding_only_when_told(count_pads: bool, want: list[float]) -> None:
    data = np.arange(1, 6, dtype="float32").reshape(1, 1, 5)
    (result,) = compute(lambda x: average_pool(x, PADDED, (1, 1, 3), NCHW, count_pads), data)
    assert_close(result.ravel(), np.array(want, "float32"))


def test_elements_beyond_the_padding_never_count() -> None:
    # A window of 3 that ceil_mode lets begin at the last element.
    data = np.arange(1, 5, dtype="float32").reshape(1, 1, 4)
    window = Window((3,), (3,), (1,), (0,), (0,))
    (result,) = compute(lambda x: average_pool(x, window, (1, 1, 2), NCHW, True), data)
    assert_close(result.ravel(), np.array([2, 4], "float32"))


@pytest.mark.parametrize("p", [1, 2, 3, 5])
def test_norms_of_windows_and_planes(p: int) -> None:
    data = normal(2, 4, 3, 5)
    window = Window((2, 2), (1, 1), (1, 1), (0, 0), (0, 0))
    local, whole = compute(
        lambda x: [lp_pool(x, window, (2, 3, 2, 5), NHWC, p), global_lp_pool(x, (2, 1, 1, 5), NHWC, p)], data
    )
    terms = np.abs(data.astype("float64")) ** p
    patches = sum(terms[:, i : i + 3, j : j + 2] for i in (0, 1) for j in (0, 1))
    assert_close(local, (patches ** (1 / p)).astype("float32"))
    assert_close(whole, (terms.sum(axis=(1, 2), keepdims=True) ** (1 / p)).astype("float32"))


@pytest.mark.parametrize("layout", [NCHW, NHWC])
def test_global_pools(layout: Layout) -> None:
    data = normal(2, 5, 4, 3)
    axes = (1, 2) if layout.channels_last else (2, 3)
    shape = data.mean(axis=axes, keepdims=True).shape
    mean, greatest = compute(
        lambda x: [global_average_pool(x, shape, layout), global_max_pool(x, shape, layout)], data
    )
    assert_close(mean, data.mean(axis=axes, keepdims=True))
    assert_close(greatest, data.max(axis=axes, keepdims=True))
