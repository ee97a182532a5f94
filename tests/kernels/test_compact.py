from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvm import te, tirx

from edgecompile.kernels.compact import nibble, pack_nibbles, store_halves, widened
from tests.support.on_target import Call, run_calls

ALL_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)


@pytest.mark.parametrize("instructions", [False, True])
def test_every_finite_half_is_widened_exactly(instructions: bool) -> None:
    halves = ALL_HALVES[np.isfinite(ALL_HALVES)]
    stored = store_halves(halves, instructions)
    assert stored.dtype == ("float16" if instructions else "int16")
    data = te.placeholder(stored.shape, stored.dtype.name, name="data")
    result = te.compute(stored.shape, lambda i: widened(data(i)), name="result")
    call = Call(te.create_prim_func([data, result]), [stored], stored.shape, "float32")
    (outcome,) = run_calls("host", [call])
    np.testing.assert_array_equal(outcome.result, halves.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(outcome.result), np.signbit(halves))


@given(st.lists(st.integers(-8, 7), min_size=1, max_size=9))
def test_two_integers_to_a_byte_first_in_the_low_half(values: list[int]) -> None:
    packed = pack_nibbles(np.array(values))
    assert packed.dtype == np.int8
    assert packed.size == (len(values) + 1) // 2
    halves = np.stack([packed & 15, packed.view(np.uint8) >> 4], axis=1).reshape(-1)[: len(values)]
    np.testing.assert_array_equal((halves + 8) % 16 - 8, values)


def test_each_integer_comes_out_of_its_byte() -> None:
    values = np.stack(np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)), axis=-1).reshape(-1)
    packed = pack_nibbles(values)
    data = te.placeholder(packed.shape, "int8", name="data")
    result = te.compute(values.shape, lambda i: nibble(data(tirx.indexdiv(i, 2)), i), name="result")
    call = Call(te.create_prim_func([data, result]), [packed], values.shape, "int32")
    (outcome,) = run_calls("host", [call])
    np.testing.assert_array_equal(outcome.result, values)
