from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tvm
from tvm import s_tir, te, tirx

from edgecompile.kernels import math
from edgecompile.lower.lets import lower_lets
from tests.support.kernels import compute
from tests.support.operators import assert_close, normal


def _lowered(
    function: Callable[[Any], Any], schedule: Callable[[s_tir.Schedule], None] = lambda _: None
) -> str:
    """TVMScript of y[i] = function(x[i]) after the pass; `schedule` sees the block "y"."""
    x = te.placeholder((16,), "float32", name="x")
    y = te.compute((16,), lambda i: function(x(i)), name="y")
    scheduled = s_tir.Schedule(te.create_prim_func([x, y]))
    schedule(scheduled)
    t = s_tir.transform
    blocks = [t.ConvertSSA(), t.ConvertBlocksToOpaque(), t.LowerOpaqueBlock(), lower_lets()]
    return str(tvm.transform.Sequential(blocks)(scheduled.mod).script())


def test_a_bound_value_is_stored_once() -> None:
    script = _lowered(lambda x: math.let(x + x, lambda v: v * v + math.let(x + x, lambda w: w * v)))
    assert "Let" not in script
    assert script.count("x[i] + x[i]") == 1


def test_a_vectorised_loop_has_one_element_a_lane() -> None:
    def vectorize(schedule: s_tir.Schedule) -> None:
        loop = schedule.get_loops(schedule.get_sblock("y"))[0]
        schedule.vectorize(schedule.split(loop, [None, 4])[1])

    script = _lowered(lambda x: math.let(x + x, lambda v: v * v), vectorize)
    assert "T.alloc_buffer((4,))" in script
    assert script.index("alloc_buffer") < script.index("T.vectorized(4)")


def test_what_is_bound_in_a_branch_stays_there() -> None:
    inside = tirx.const(0.0, "float32")
    script = _lowered(lambda x: tirx.if_then_else(x > inside, math.let(x + x, lambda v: v * v), inside))
    assert "alloc_buffer" not in script
    assert "Let" in script


def test_a_long_chain_compiles_in_reasonable_time() -> None:
    def swish(x: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda *i: math.let(x(*i), lambda v: v * math.sigmoid(v)), name="y")

    def chain(x: te.Tensor) -> te.Tensor:
        for _ in range(10):
            x = swish(x)
        return x

    x = normal(4, 33)
    start = time.monotonic()
    (got,) = compute(chain, x)
    assert time.monotonic() - start < 60
    want = x.astype(np.float64)
    for _ in range(10):
        want = want / (1 + np.exp(-want))
    assert_close(got, want.astype(np.float32))
