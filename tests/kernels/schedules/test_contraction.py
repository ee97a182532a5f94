from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import s_tir, te

from edgecompile.core.target import find_target
from edgecompile.kernels.compute_matmul import gemm, matmul
from edgecompile.kernels.math import const
from edgecompile.kernels.schedules.contraction import Contraction, find_contraction
from edgecompile.lower.codegen import resolve_native
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal

HOST = resolve_native(find_target("host").isa)


def found_in(*tensors: te.Tensor) -> Contraction | None:
    schedule = s_tir.Schedule(te.create_prim_func([*tensors]))
    return find_contraction(schedule.get(schedule.get_child_blocks(schedule.get_sblock("root"))[0]))


def test_products_of_matrices_are_found() -> None:
    a, b = te.placeholder((2, 5, 7), "float32"), te.placeholder((7, 9), "float32")
    found = found_in(a, b, matmul(a, b, (2, 5, 9), "float32"))
    assert found is not None
    assert (found.extents, found.depth) == ((2, 5, 9), 7)
    assert found.left.runs_along(found.left.variables[-1])
    assert found.right.runs_along(found.left.variables[-2])


def test_other_reductions_are_not() -> None:
    x, w = te.placeholder((5, 7), "float32"), te.placeholder((5, 9, 7), "float32")
    k = te.reduce_axis((0, 7), "k")
    assert found_in(x, te.compute((5,), lambda i: te.sum(x[i, k], axis=k))) is None
    each_row_its_own = te.compute((5, 9), lambda i, j: te.sum(x[i, k] * w[i, j, k], axis=k))
    assert found_in(x, w, each_row_its_own) is None
    integers = te.placeholder((5, 7), "int32"), te.placeholder((7, 9), "int32")
    assert found_in(*integers, matmul(*integers, (5, 9), "int32")) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 1, 20, 33), (2, 33, 48)), ((1, 40, 16), (16, 64)), ((2, 9, 16), (1, 16, 37)), ((3, 40), (40, 128))],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batches_of_products(left: tuple[int, ...], right: tuple[int, ...], dtype: str) -> None:
    a, b = normal(*left, dtype=dtype), normal(*right, seed=1, dtype=dtype)
    want = np.matmul(a, b)

    def definition(x: te.Tensor, y: te.Tensor) -> te.Tensor:
        product = matmul(x, y, want.shape, dtype)
        return te.compute(want.shape, lambda *i: product(*i) * const(2, dtype), name="double")

    assert_close(compute(definition, a, b, isa=HOST)[0], want * 2)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(2, 80), st.booleans(), st.booleans())
def test_transposed_operands(rows: int, depth: int, columns: int, trans_a: bool, trans_b: bool) -> None:
    a, b = normal(rows, depth), normal(depth, columns, seed=1)
    left, right = a.T if trans_a else a, b.T if trans_b else b
    (result,) = compute(
        lambda x, y: gemm(x, y, trans_a, trans_b, (rows, columns), "float32"), left, right, isa=HOST
    )
    assert_close(result, a @ b)


@pytest.mark.parametrize("shapes", [((37, 16), (16, 32)), ((2, 50, 40), (2, 40, 33))])
def test_threads_share_blocks_of_rows(shapes: tuple[tuple[int, ...], ...]) -> None:
    a, b = normal(*shapes[0]), normal(*shapes[1], seed=1)
    want, isa = np.matmul(a, b), replace(HOST, threads=3)
    assert_close(compute(lambda x, y: matmul(x, y, want.shape, "float32"), a, b, isa=isa)[0], want)


def test_half_precision_is_summed_in_single() -> None:
    a, b = normal(16, 24, dtype="float16"), normal(24, 40, seed=1, dtype="float16")
    (result,) = compute(lambda x, y: matmul(x, y, (16, 40), "float16"), a, b, isa=HOST)
    want = (a.astype("float32") @ b.astype("float32")).astype("float16")
    assert_close(result, want, 2e-3)
