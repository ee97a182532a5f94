from __future__ import annotations

import numpy as np
import pytest
from tvm import te, tirx

from edgecompile.kernels.schedules.default import schedule_default
from tests.support.on_target import Call, assembly, isa_of, run_calls


def _saturating_sum(count: int) -> Call:
    """The high bytes of `count` sums by a NEON instruction: the int8 result asks for many lanes at a time."""
    random = np.random.default_rng(0)
    arrays = [random.integers(-(2**31), 2**31, count).astype(np.int32) for _ in range(2)]
    a, b = (te.placeholder((count,), "int32", name=name) for name in "ab")

    def element(i: te.Var) -> te.Expr:
        total = tirx.call_llvm_pure_intrin("int32", "llvm.aarch64.neon.sqadd", a(i), b(i))
        return tirx.shift_right(total, tirx.const(24, "int32")).astype("int8")

    function = te.create_prim_func([a, b, te.compute((count,), element, name="y")])
    return Call(schedule_default(function, isa_of("cortex-a72")), arrays, (count,), "int8")


@pytest.mark.parametrize("count", [1, 3, 16, 50])
def test_every_lane_and_the_scalar_rest_are_computed(count: int) -> None:
    call = _saturating_sum(count)
    (outcome,) = run_calls("cortex-a72", [call])
    exact = call.inputs[0].astype(np.int64) + call.inputs[1]
    expected = np.clip(exact, -(2**31), 2**31 - 1) >> 24
    np.testing.assert_array_equal(outcome.result, expected.astype(np.int8))


def test_one_instruction_for_each_register() -> None:
    text = assembly(_saturating_sum(16), isa_of("cortex-a72"))
    assert text.count("sqadd\tv") == 4
