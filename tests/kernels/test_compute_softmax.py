from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.compute_softmax import log_softmax, softmax
from edgecompile.kernels.loops import RowLoops
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal


def reference(x: Array, axis: int) -> Array:
    power = np.exp(x.astype("float64") - x.max(axis=axis, keepdims=True))
    return np.asarray(power / power.sum(axis=axis, keepdims=True))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("lanes", [1, 8])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_any_axis_and_type(axis: int, lanes: int, dtype: str) -> None:
    data = normal(3, 4, 21, dtype=dtype)
    rtol = 2e-3 if dtype == "float16" else 1e-6
    (result,) = compute(lambda x: softmax(x, axis, RowLoops(lanes)), data)
    assert_close(result, reference(data, axis).astype(dtype), rtol)
    (result,) = compute(lambda x: log_softmax(x, axis, RowLoops(lanes)), data)
    assert_close(result, np.log(reference(data, axis)).astype(dtype), rtol)


def test_large_numbers_do_not_overflow() -> None:
    data = np.array([[1e4, 1e4 + 1, -3e38], [-1e4, -1e4, -1e4]], "float32")
    (result,) = compute(lambda x: softmax(x, 1, RowLoops(4)), data)
    assert_close(result, reference(data, 1).astype("float32"), 1e-6)
    (result,) = compute(lambda x: log_softmax(x, 1, RowLoops(4)), data)
    assert np.isfinite(result).all()


def test_minus_infinity_gets_no_probability() -> None:
    data = np.array([[0, -np.inf, 0, -np.inf]], "float32")
    (result,) = compute(lambda x: softmax(x, 1, RowLoops(4)), data)
    np.testing.assert_array_equal(result, [[0.5, 0, 0.5, 0]])
