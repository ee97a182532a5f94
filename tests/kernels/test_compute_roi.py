from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.compute_roi import RoiAlignment, max_roi_pool, max_unpool, roi_align
from tests.support.kernels import compute
from tests.support.operators import assert_close


@pytest.mark.parametrize("ratio", [0, 3])
def test_the_mean_of_a_slope_is_its_value_in_the_middle(ratio: int) -> None:
    rows = np.arange(8, dtype="float32")
    data = np.broadcast_to(rows[:, None], (1, 1, 8, 8)).copy()
    regions, owners = np.array([[1, 1, 5, 5]], "float32"), np.array([0], "int64")
    alignment = RoiAlignment(False, ratio, 1.0, True)
    (result,) = compute(lambda x, r, o: roi_align(x, r, o, alignment, (1, 1, 2, 1)), data, regions, owners)
    # Pixel centres are at 0.5: the region's rows 0.5 to 4.5 have their halves around 1.5 and 3.5.
    assert_close(result.ravel(), np.array([1.5, 3.5], "float32"))


def test_samples_far_outside_count_as_zero() -> None:
    data = np.ones((1, 1, 4, 4), "float32")
    regions, owners = np.array([[100, 100, 104, 104], [0, 0, 4, 4]], "float32"), np.zeros(2, "int64")
    alignment = RoiAlignment(False, 2, 1.0, True)
    (result,) = compute(lambda x, r, o: roi_align(x, r, o, alignment, (2, 1, 1, 1)), data, regions, owners)
    assert_close(result.ravel(), np.array([0, 1], "float32"))


def test_bins_of_a_region_and_empty_ones() -> None:
    data = np.arange(16, dtype="float32").reshape(1, 1, 4, 4)
    regions = np.array([[0, 0, 0, 3, 3], [0, 9, 9, 12, 12]], "float32")
    (result,) = compute(lambda x, r: max_roi_pool(x, r, 1.0, (2, 1, 2, 2)), data, regions)
    np.testing.assert_array_equal(result[:, 0].reshape(2, 4), [[5, 7, 13, 15], [0, 0, 0, 0]])


def test_elements_go_to_their_positions() -> None:
    data, positions = np.array([[[1, 2]]], "float32"), np.array([[[3, 0]]], "int64")
    (result,) = compute(lambda x, i: max_unpool(x, i, (1, 1, 4), (1, 1, 5)), data, positions)
    np.testing.assert_array_equal(result.ravel(), [2, 0, 0, 1, 0])
