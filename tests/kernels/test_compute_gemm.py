"""Packed weights: every weight is where the definition looks for it, and the definition is the product."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te
from tvm.sym import Analyzer

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_gemm import (
    GemmPlan,
    pack_gemm_weights,
    packed_conv,
    packed_index,
    packed_matmul,
)
from tests.support.kernels import compute


def plan_of(
    n: int,
    k: int,
    columns: int,
    lanes: int = 1,
    group: int = 1,
    groups: int = 1,
    window: Window | None = None,
) -> GemmPlan:
    depth = -(-k // group) * group
    return GemmPlan("multiply_add", "memory", n, k, depth, group, lanes, 1, columns, 1, groups, window)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    k=st.integers(1, 20),
    lanes=st.sampled_from((1, 4, 16)),
    vectors=st.integers(1, 3),
    group=st.sampled_from((1, 2, 4, 16)),
    groups=st.integers(1, 3),
)
def test_every_weight_is_where_its_index_says(
    n: int, k: int, lanes: int, vectors: int, group: int, groups: int
) -> None:
    plan = plan_of(n, k, lanes * vectors, lanes, group, groups)
    weights = np.arange(1, groups * n * k + 1, dtype=np.float32).reshape(groups * n, k)
    packed = pack_gemm_weights(weights, plan)
    assert len(packed) == groups * plan.group_elements
    # Each weight once, and zeros.
    assert sorted(packed[packed > 0]) == sorted(weights.ravel())
    for row, column in {(0, 0), (groups * n - 1, k - 1), (groups * n // 2, k // 2)}:
        at = int(Analyzer().simplify(packed_index(plan, row // n, row % n, column)))
        assert packed[at] == weights[row, column]


def test_plan_survives_text() -> None:
    window = Window((3, 3), (1, 2), (1, 1), (1, 0), (0, 1))
    plan = plan_of(8, 9, 4, window=window)
    assert GemmPlan.load(plan.dump()) == plan


@pytest.mark.parametrize(("n", "columns"), [(5, 4), (8, 4), (3, 4), (1, 1)])
def test_definition_is_the_matrix_product(n: int, columns: int) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((3, 7), dtype=np.float32)
    w = rng.standard_normal((n, 7), dtype=np.float32)
    plan = plan_of(n, 7, columns)

    def definition(data: te.Tensor, weights: te.Tensor) -> te.Tensor:
        return packed_matmul(data, weights, plan, (3, n), "float32")

    (result,) = compute(definition, a, pack_gemm_weights(w, plan), scheduled=False)
    np.testing.assert_allclose(result, a @ w.T, rtol=1e-5, atol=1e-6)


def test_definition_is_the_grouped_convolution() -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 5, 4), dtype=np.float32)
    w = rng.standard_normal((6, 2, 3), dtype=np.float32)
    plan = plan_of(3, 6, 2, groups=2, window=Window((3,), (1,), (1,), (1,), (1,)))
    packed = pack_gemm_weights(np.moveaxis(w, 1, -1).reshape(6, 6), plan)

    def definition(data: te.Tensor, weights: te.Tensor) -> te.Tensor:
        return packed_conv(data, weights, plan, (2, 5, 6), "float32")

    (result,) = compute(definition, x, packed, scheduled=False)
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    for o in range(6):
        own = padded[:, :, 2 * (o // 3) : 2 * (o // 3) + 2]
        expected = sum(own[:, t : t + 5] @ w[o, :, t] for t in range(3))
        np.testing.assert_allclose(result[:, :, o], expected, rtol=1e-5, atol=1e-5)
