"""The built-in choices for reductions; that any choice computes the same is tested with the loop space."""

from __future__ import annotations

import pytest
from tvm import s_tir, te

from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.reduction import choose_tile, try_tiling

AVX512 = Machine(16, 32, 8)
CORTEX_A = Machine(4, 32, 8)


@pytest.mark.parametrize("machine", [AVX512, CORTEX_A])
def test_lanes_with_data_of_their_own_need_no_second_vector_of_columns(machine: Machine) -> None:
    """A row loads a vector for each of them anyway, and more rows share weights."""
    tile = choose_tile(56, 96, machine, lanewise=True)
    assert (tile.rows, tile.columns) == (14, machine.lanes)
    assert choose_tile(56, 96, machine).columns > machine.lanes


def test_the_steps_of_a_window_are_written_out() -> None:
    assert _depthwise(channels=64).count("in T.unroll(3)") == 2
    assert "in range(9)" in _matmul()


def test_weights_that_stay_in_registers_are_read_once() -> None:
    """Columns (a cache line for AVX-512) are outermost, then images, lines and tiles of rows."""
    assert "T.grid(4, 1, 18, 2)" in _depthwise(channels=64)


def _depthwise(channels: int) -> str:
    x = te.placeholder((1, 20, 20, channels), "float32", name="x")
    w = te.placeholder((3, 3, channels), "float32", name="w")
    ky, kx = te.reduce_axis((0, 3), "ky"), te.reduce_axis((0, 3), "kx")
    y = te.compute(
        (1, 18, 18, channels),
        lambda n, i, j, c: te.sum(x[n, i + ky, j + kx, c] * w[ky, kx, c], [ky, kx]),
        name="y",
    )
    return _tiled(x, w, y)


def _matmul() -> str:
    x, w = te.placeholder((64, 9), "float32", name="x"), te.placeholder((9, 64), "float32", name="w")
    k = te.reduce_axis((0, 9), "k")
    return _tiled(x, w, te.compute((64, 64), lambda i, j: te.sum(x[i, k] * w[k, j], k), name="y"))


def _tiled(*tensors: te.Tensor) -> str:
    schedule = s_tir.Schedule(te.create_prim_func(list(tensors)))
    return str(try_tiling(schedule, "y", AVX512, LoopPlan()).mod.script())
