from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from edgecompile.kernels import integers
from tests.support.kernels import Array, compute

TYPES = ("int8", "uint8", "int16", "int32", "uint32", "int64")


def _combine(function: Callable[[Any, Any], Any], a: Array, b: Array) -> Array:
    return compute(lambda x, y: te.compute(x.shape, lambda i: function(x(i), y(i)), name="z"), a, b)[0]


def _quotient(a: int, b: int) -> int:
    """C's division, with x / 0 = 0."""
    return 0 if b == 0 else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _wrap(value: int, dtype: str) -> int:
    return int(np.array([value % (1 << 64)], np.uint64).astype(dtype)[0])


@settings(max_examples=20, deadline=None)
@given(st.data(), st.sampled_from(TYPES))
def test_division_by_anything(data: st.DataObject, dtype: str) -> None:
    limits = np.iinfo(dtype)
    edges = st.sampled_from(sorted({int(limits.min), int(limits.max), 0, 1, 7, _wrap(-1, dtype)}))
    numbers = st.lists(edges | st.integers(int(limits.min), int(limits.max)), min_size=9, max_size=9)
    left, right = data.draw(numbers), data.draw(numbers)
    a, b = np.array(left, dtype), np.array(right, dtype)
    pairs = list(zip(left, right, strict=True))
    quotients = [_quotient(x, y) for x, y in pairs]
    want = np.array([_wrap(q, dtype) for q in quotients], dtype)
    np.testing.assert_array_equal(_combine(integers.divide, a, b), want)
    rests = [x - q * y if y else 0 for (x, y), q in zip(pairs, quotients, strict=True)]
    np.testing.assert_array_equal(_combine(integers.remainder, a, b), np.array(rests, dtype))
    floors = [x % y if y else 0 for x, y in pairs]
    np.testing.assert_array_equal(_combine(integers.modulo, a, b), np.array(floors, dtype))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_narrow_sums_wrap_before_they_are_used(dtype: str) -> None:
    limits = np.iinfo(dtype)
    a, b = np.array([limits.max] * 3, dtype), np.array([0, 1, 2], dtype)
    shifted = integers.wrapping(lambda x, y: x + y)
    got = _combine(lambda x, y: shifted(x, y) > x, a, b)
    np.testing.assert_array_equal(got, (a + b) > a)


def test_indices_stay_in_memory() -> None:
    index = np.array([-9, -3, -1, 0, 2, 3, 1 << 20], np.int64)
    got = compute(lambda x: te.compute(x.shape, lambda i: integers.wrapped_index(x(i), 3), name="i"), index)[
        0
    ]
    np.testing.assert_array_equal(got, [0, 0, 2, 0, 2, 2, 2])
