"""Requantization in plain arithmetic, against the reference in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from edgecompile.core.integer import Rounding
from edgecompile.kernels.requantize import Form, requantize
from edgecompile.passes.quantize import arithmetic
from tests.support.kernels import Array, compute

_LEAST, _MOST = -(1 << 31), (1 << 31) - 1
_SUMS = st.integers(_LEAST, _MOST) | st.integers(-70, 70) | st.sampled_from([_LEAST, _MOST])
_FACTORS = st.sampled_from([1 << 30, _MOST]) | st.integers(1 << 30, _MOST)


def _requantized(sums: Array, factors: Array, shifts: Array, rounding: Rounding, form: Form) -> Array:
    def result(total: te.Tensor, factor: te.Tensor, shift: te.Tensor) -> te.Tensor:
        return te.compute(
            total.shape, lambda i: requantize(total(i), factor(i), shift(i), 3, -128, 127, rounding, form)
        )

    return compute(result, sums, factors, shifts)[0]


@settings(max_examples=6)
@pytest.mark.parametrize("rounding", ["single", "double"])
@pytest.mark.parametrize(("least", "most"), [(-30, 62), (-30, 31), (-2, 40), (0, 31), (0, 32), (1, 20)])
@given(st.data())
def test_any_sum(rounding: Rounding, least: int, most: int, data: st.DataObject) -> None:
    highest = min(most, 31) if rounding == "single" else most
    shifts = st.sampled_from([least, highest]) | st.integers(least, highest)
    rows = data.draw(st.lists(st.tuples(_SUMS, _FACTORS, shifts), min_size=32, max_size=32))
    sums, factors, shift = np.array(rows, np.int64).T.copy()
    arrays = (sums.astype(np.int32), factors.astype(np.int32), shift.astype(np.int32))
    got = _requantized(*arrays, rounding, Form(False, least, most))
    want = np.clip(arithmetic.rescale(sums, factors, shift, rounding) + 3, -128, 127)
    np.testing.assert_array_equal(got, want)


def test_a_channel_whose_multiplier_is_0_may_have_any_shift() -> None:
    sums, shifts = np.full(4, 77, np.int32), np.array([-31, -1, 0, 63], np.int32)
    got = _requantized(sums, np.zeros(4, np.int32), shifts, "double", Form(False, 0, 20))
    np.testing.assert_array_equal(got, [3] * 4)
