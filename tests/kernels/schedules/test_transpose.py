from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import s_tir, te

from edgecompile.core.target import find_target
from edgecompile.kernels.math import const
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.transpose import expand_transposition, find_transposition
from edgecompile.lower.codegen import resolve_native
from tests.support.kernels import compute

HOST = resolve_native(find_target("host").isa)
ORDERS = [(0, 1), (1, 0), (0, 2, 3, 1), (0, 3, 1, 2), (2, 3, 0, 1), (0, 2, 1, 3), (2, 1, 0), (0, 1, 3, 2)]


def block_of(function: object) -> object:
    schedule = s_tir.Schedule(function)
    root = schedule.get_sblock("root")
    return schedule.get(schedule.get_child_blocks(root)[0])


def transpose(x: te.Tensor, order: tuple[int, ...]) -> te.Tensor:
    shape = [x.shape[axis] for axis in order]
    place = [order.index(axis) for axis in range(len(order))]
    return te.compute(shape, lambda *index: x(*(index[p] for p in place)), name="transpose")


@pytest.mark.parametrize("order", ORDERS)
def test_which_orders_are_transpositions_of_matrices(order: tuple[int, ...]) -> None:
    x = te.placeholder(tuple(range(2, 2 + len(order))), "float32")
    found = find_transposition(block_of(te.create_prim_func([x, transpose(x, order)])))
    matrices = {
        (1, 0): (1, 2, 3),
        (0, 2, 3, 1): (2, 3, 20),
        (0, 3, 1, 2): (2, 12, 5),
        (2, 3, 0, 1): (1, 6, 20),
    }
    want = {**matrices, (0, 1, 3, 2): (6, 4, 5)}.get(order)
    assert want == (found and (found.batch, found.rows, found.columns))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 40),
    st.integers(1, 40),
    st.sampled_from(["float32", "int8", "int64"]),
    st.sampled_from([128, 256, 512]),
    st.sampled_from([8, 32]),
    st.booleans(),
)
def test_all_extents(
    batch: int, rows: int, columns: int, dtype: str, bits: int, registers: int, applied: bool
) -> None:
    data = np.random.default_rng(rows).integers(-100, 100, (batch, rows, columns)).astype(dtype)
    isa = replace(HOST, vector_bits=min(bits, HOST.vector_bits), registers=registers)

    def definition(x: te.Tensor) -> te.Tensor:
        moved = transpose(x, (0, 2, 1))
        if not applied:
            return moved
        return te.compute(moved.shape, lambda *i: moved(*i) + const(1, dtype), name="plus")

    (result,) = compute(definition, data, isa=isa)
    np.testing.assert_array_equal(result, data.transpose(0, 2, 1) + (1 if applied else 0))


def test_what_depends_on_the_place_is_left_alone() -> None:
    x = te.placeholder((8, 32), "float32")
    b = te.placeholder((8,), "float32")
    moved = te.compute((32, 8), lambda i, j: x[j, i] + b[j], name="y")
    function = te.create_prim_func([x, b, moved])
    assert expand_transposition(function, block_of(function), HOST, LoopPlan()) is None
