from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tvm import s_tir, te, tirx

from edgecompile.kernels import math
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.kernels.schedules.elementwise import store_lanes, vectorize_elementwise
from tests.support.kernels import compute
from tests.support.on_target import Call, isa_of, run_calls
from tests.support.operators import assert_close, normal

Definition = Callable[..., te.Tensor]


def _vectorized(definition: Definition, *shapes: tuple[int, ...]) -> bool:
    """Whether the only block of `definition` gets 8 lanes."""
    inputs = [te.placeholder(shape, "float32", name=f"x{i}") for i, shape in enumerate(shapes)]
    schedule = s_tir.Schedule(te.create_prim_func([*inputs, definition(*inputs)]))
    root = schedule.get_sblock("root")
    vectorize_elementwise(schedule, schedule.get_child_blocks(root)[0], 8)
    return "T.vectorized(8)" in schedule.mod.script()


def _add(x: te.Tensor, y: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i, j: x(i, j) + y(i, j), name="y")


def _add_row(x: te.Tensor, y: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i, j: x(i, j) + y(j), name="y")


def _add_column(x: te.Tensor, y: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda i, j: x(i, j) + y(i), name="y")


@pytest.mark.parametrize(
    ("definition", "shapes", "expected"),
    [
        (_add, [(3, 5), (3, 5)], True),  # 15 neighbours
        (_add_row, [(3, 16), (16,)], True),
        (_add_row, [(3, 5), (5,)], False),  # rows of 5 are too short
        (_add_column, [(3, 16), (3,)], True),
        (lambda x: te.compute((5, 16), lambda i, j: x(j, i), name="y"), [(16, 5)], False),
        (lambda x: te.compute((5, 16), lambda i, j: x(i, j + 3), name="y"), [(5, 20)], True),
        (
            lambda x: te.compute((18,), lambda i: tirx.if_then_else(i > 1, x(i - 2), 0.0), name="y"),
            [(16,)],
            False,
        ),
    ],
)
def test_what_gets_lanes(definition: Any, shapes: list[tuple[int, ...]], expected: bool) -> None:
    assert _vectorized(definition, *shapes) is expected


@pytest.mark.parametrize(
    ("read", "written", "registers", "lanes"),
    [
        ("int8", "float32", 32, 16),
        ("int8", "float32", 8, 4),
        ("float32", "int8", 8, 16),
        ("bool", "int32", 16, 16),
    ],
)
def test_lanes_by_the_smallest_element(read: str, written: str, registers: int, lanes: int) -> None:
    x = te.placeholder((64,), read, name="x")
    y = te.compute((64,), lambda i: x(i).astype(written), name="y")
    schedule = s_tir.Schedule(te.create_prim_func([x, y]))
    assert store_lanes(schedule, schedule.get_sblock("y"), Machine(4, registers, 8)) == lanes


@pytest.mark.parametrize("extent", [1, 7, 8, 9, 31, 64])
def test_every_extent_is_computed_whole(extent: int) -> None:
    x, y = normal(3, extent), normal(extent, seed=1)
    (got,) = compute(_add_row, x, y)
    np.testing.assert_array_equal(got, x + y)
    (got,) = compute(lambda t: te.compute(t.shape, lambda *i: math.tanh(t(*i)), name="y"), x)
    assert_close(got, np.tanh(x), 1e-6)


def _halved_to_channels_last(x: te.Tensor) -> te.Tensor:
    channels, height, width = x.shape
    half = te.const(0.5, "float32")
    return te.compute((height, width, channels), lambda h, w, c: x(c, h, w) * half, name="y")


def test_a_transposed_result_is_computed_in_vectors() -> None:
    assert _vectorized(_halved_to_channels_last, (3, 5, 37))
    assert not _vectorized(_halved_to_channels_last, (3, 5, 7))
    data = normal(3, 5, 37)
    tensor = te.placeholder(data.shape, "float32", name="x")
    function = te.create_prim_func([tensor, _halved_to_channels_last(tensor)])
    call = Call(schedule_default(function, isa_of("host")), (data,), (5, 37, 3), "float32")
    (outcome,) = run_calls("host", [call])
    np.testing.assert_array_equal(outcome.result, data.transpose(1, 2, 0) * np.float32(0.5))


def test_a_bare_transpose_is_not() -> None:
    def moved(x: te.Tensor) -> te.Tensor:
        channels, height, width = x.shape
        return te.compute((height, width, channels), lambda h, w, c: x(c, h, w), name="y")

    assert not _vectorized(moved, (3, 5, 37))
