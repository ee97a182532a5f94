from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.kernels.compute_matmul import einsum, gemm, matmul
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, 7), (7, 9)),
        ((7,), (7, 9)),
        ((5, 7), (7,)),
        ((7,), (7,)),
        ((3, 1, 5, 7), (2, 7, 16)),
        ((7,), (2, 3, 7, 4)),
        ((2, 3, 4, 7), (7,)),
    ],
)
@pytest.mark.parametrize("scheduled", [False, True])
def test_all_ranks_of_numpy_matmul(left: tuple[int, ...], right: tuple[int, ...], scheduled: bool) -> None:
    a, b = normal(*left), normal(*right, seed=1)
    want = np.matmul(a, b)
    (result,) = compute(lambda x, y: matmul(x, y, want.shape, "float32"), a, b, scheduled=scheduled)
    assert_close(result, np.asarray(want))


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 17), st.integers(1, 9), st.integers(1, 40), st.booleans(), st.booleans())
def test_gemm_of_any_extents(rows: int, depth: int, columns: int, trans_a: bool, trans_b: bool) -> None:
    a, b = normal(rows, depth), normal(depth, columns, seed=1)
    given_a, given_b = a.T if trans_a else a, b.T if trans_b else b
    (result,) = compute(
        lambda x, y: gemm(x, y, trans_a, trans_b, (rows, columns), "float32"), given_a, given_b
    )
    assert_close(result, a @ b)


def test_integers_are_exact() -> None:
    a, b = np.full((2, 3), 2**40, "int64"), np.full((3, 2), 5, "int64")
    (result,) = compute(lambda x, y: matmul(x, y, (2, 2), "int64"), a, b)
    np.testing.assert_array_equal(result, a @ b)


def test_a_diagonal_and_a_broadcast_axis() -> None:
    a, b = normal(4, 4), normal(1, 3, seed=1)
    (result,) = compute(
        lambda x, y: einsum([(x, "ii"), (y, "ij")], ["i", "j"], {"i": 4, "j": 3}, "float32"), a, b
    )
    assert_close(result, np.diag(a)[:, None] * b)
