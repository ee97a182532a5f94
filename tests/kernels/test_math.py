from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import te

from edgecompile.kernels import math
from tests.support.kernels import Array, compute

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 89.5, -105.0, 3e38], np.float32)


def _reference_erf(x: Array) -> Array:
    from math import erf

    return np.asarray(np.vectorize(erf)(x))


def _map(function: Callable[[Any], Any], x: Array) -> Array:
    return compute(lambda t: te.compute(t.shape, lambda i: function(t(i)), name="y"), x)[0]


def _samples(low: float, high: float) -> Array:
    tiny = np.logspace(-30, 0, 5001)
    grid = [np.linspace(low, high, 200_001), np.linspace(-1, 1, 20_001), tiny, -tiny]
    x = np.concatenate(grid).astype(np.float32)
    return x[(x >= low) & (x <= high)]


@pytest.mark.parametrize(
    ("function", "reference", "low", "high", "bound"),
    [
        (math.exp, np.exp, -87.0, 88.7, 2e-7),
        (math.exp_negative, np.exp, -87.3, 0.0, 2e-7),
        (math.log, np.log, 1e-30, 100.0, 3e-7),
        (math.log1p_unit, np.log1p, 0.0, 1.0, 3e-7),
        (math.tanh, np.tanh, -20.0, 20.0, 5e-7),
        (math.erf, _reference_erf, -6.0, 6.0, 6e-7),
        (math.sigmoid, lambda x: 1 / (1 + np.exp(-x)), -87.0, 88.0, 4e-7),
    ],
)
def test_relative_error_is_below_the_documented_bound(
    function: Any, reference: Any, low: float, high: float, bound: float
) -> None:
    x = _samples(low, high)
    got, want = _map(function, x), reference(x.astype(np.float64))
    error = np.abs(got - want)[want != 0] / np.abs(want[want != 0])
    assert error.max() < bound
    assert (got[want == 0] == 0).all()


@pytest.mark.parametrize(
    ("function", "reference"),
    [(math.exp, np.exp), (math.log, np.log), (math.tanh, np.tanh), (math.erf, _reference_erf)],
)
def test_special_values(function: Any, reference: Any) -> None:
    with np.errstate(all="ignore"):
        want = reference(SPECIAL.astype(np.float64)).astype(np.float32)
    np.testing.assert_allclose(_map(function, SPECIAL), want, rtol=1e-6, atol=1e-44)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_other_precisions(dtype: str) -> None:
    x = np.linspace(-3, 3, 65).astype(dtype)
    rtol = {"float16": 1e-3, "float64": 1e-14}[dtype]
    np.testing.assert_allclose(_map(math.exp, x), np.exp(x), rtol=rtol)
    np.testing.assert_allclose(_map(math.tanh, x), np.tanh(x), rtol=rtol, atol=1e-7)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_truncation_saturates(dtype: str) -> None:
    limits = np.iinfo(dtype)
    x = np.array([1.9, -1.9, 1e30, -1e30, np.inf, -np.inf, np.nan], np.float32)
    low = max(-1, int(limits.min))
    want = [1, low, limits.max, limits.min, limits.max, limits.min, 0]
    got = _map(lambda v: math.truncated(v, dtype), x)
    np.testing.assert_array_equal(got, np.array(want, dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_absolute_clears_the_sign_bit(dtype: str) -> None:
    got = _map(math.absolute, np.array([-0.0, -1.5, -np.inf, 2.0], dtype))
    np.testing.assert_array_equal(got, np.array([0.0, 1.5, np.inf, 2.0], dtype))
    assert not np.signbit(got).any()


def test_extremes_propagate_nan() -> None:
    a = np.array([np.nan, 1.0, 2.0, np.nan], np.float32)
    b = np.array([1.0, np.nan, 3.0, np.nan], np.float32)

    def both(x: te.Tensor, y: te.Tensor) -> list[te.Tensor]:
        return [
            te.compute(x.shape, lambda i: math.maximum(x(i), y(i)), name="high"),
            te.compute(x.shape, lambda i: math.minimum(x(i), y(i)), name="low"),
        ]

    high, low = compute(both, a, b)
    np.testing.assert_array_equal(high, np.maximum(a, b))
    np.testing.assert_array_equal(low, np.minimum(a, b))


def test_not_of_a_comparison_with_nan_is_true() -> None:
    x = np.array([np.nan, 1.0, 3.0], np.float32)
    got = _map(lambda v: math.logical_not(v < math.const(2.0, "float32")), x)
    np.testing.assert_array_equal(got, [True, False, True])
