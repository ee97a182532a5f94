from __future__ import annotations

import numpy as np
import pytest

from edgecompile.core.tensor import TensorInfo
from edgecompile.tuning.operands import agrees, edge_inputs, random_inputs


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
def test_edges_of_integers_are_both_ends_and_zero(dtype: str) -> None:
    (array,) = edge_inputs([TensorInfo("x", (99,), dtype)], 0)
    limits = np.iinfo(dtype)
    assert set(array.tolist()) == {limits.min, 0, limits.max}


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_edges_of_real_numbers_can_be_squared_and_added(dtype: str) -> None:
    (array,) = edge_inputs([TensorInfo("x", (999,), dtype)], 0)
    assert array.dtype == dtype
    assert np.signbit(array[array == 0]).any()
    assert np.isfinite(np.sum(array * array, dtype=np.float32))
    assert np.abs(array).max() > 50


def test_inputs_are_repeatable_and_of_every_type() -> None:
    infos = [
        TensorInfo("x", (3, 4), "float32"),
        TensorInfo("i", (5,), "int64"),
        TensorInfo("b", (6,), "bool"),
    ]
    for make in (random_inputs, edge_inputs):
        first, second = make(infos, 1), make(infos, 1)
        assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
        assert [(array.shape, array.dtype.name) for array in first] == [(i.shape, i.dtype) for i in infos]


def test_arrays_agree_nearly_or_exactly() -> None:
    ones = np.ones(4, np.float32)
    assert agrees(ones + 1e-6, ones)
    assert not agrees(ones + 1e-2, ones)
    assert not agrees(np.array([1, 2], np.int8), np.array([1, 3], np.int8))
    assert agrees(np.array([np.nan], np.float32), np.array([np.nan], np.float32))
