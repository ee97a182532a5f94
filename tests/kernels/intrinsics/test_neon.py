"""Requantization by A64 instructions, against the reference in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from tvm import te

from edgecompile.core.integer import Rounding
from edgecompile.kernels.requantize import Form, requantize, rescale
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.passes.quantize import arithmetic
from tests.support.on_target import Array, Call, assembly, isa_of, run_calls

_LIMIT = 2**31 - 1


def _operands(lowest: int, highest: int) -> tuple[Array, Array, Array]:
    """Sums of every size with both signs, factors, and shifts from `lowest` to `highest`; an odd count."""
    random, count = np.random.default_rng(7), 1003
    bits = random.integers(0, 32, count)
    sums = np.clip(random.uniform(-1, 1, count) * 2.0**bits, -_LIMIT - 1, _LIMIT).astype(np.int32)
    sums[:4] = (_LIMIT, -_LIMIT - 1, 0, -1)
    factors = random.integers(2**30, 2**31, count).astype(np.int32)
    factors[4:6] = (2**30, _LIMIT)
    shifts = random.integers(lowest, highest + 1, count).astype(np.int32)
    # Halves: sums that are a multiple of half of what one step of the result is worth.
    shifts[6:200], factors[6:200] = max(lowest, 3), 2**30
    sums[6:200] = np.arange(-97, 97) * 8
    return sums, factors, shifts


def _call(arrays: tuple[Array, ...], limits: tuple[int, int, int], rounding: Rounding, form: Form) -> Call:
    tensors = [te.placeholder(a.shape, "int32", name=f"x{i}") for i, a in enumerate(arrays)]

    def element(i: te.Var) -> te.Expr:
        total, factor, shift = (tensor(i) for tensor in tensors)
        return requantize(total, factor, shift, *limits, rounding, form).astype("int8")

    result = te.compute(arrays[0].shape, element, name="y")
    function = schedule_default(te.create_prim_func([*tensors, result]), isa_of("cortex-a72"))
    return Call(function, arrays, arrays[0].shape, "int8")


@pytest.mark.parametrize("rounding", ["single", "double"])
@pytest.mark.parametrize("lowest", [-8, 0, 1])
def test_every_sum_becomes_the_integer_of_the_reference(rounding: Rounding, lowest: int) -> None:
    arrays = _operands(lowest, 31)
    scaled = arithmetic.rescale(arrays[0].astype(np.int64), *arrays[1:], rounding)
    form = Form(use_neon=True, least_shift=lowest)
    limits = [(-3, -128, 127), (10, 10, 127), (-128, -128, 100)]
    outcomes = run_calls("cortex-a72", [_call(arrays, limit, rounding, form) for limit in limits])
    for (y_zero, lo, hi), outcome in zip(limits, outcomes, strict=True):
        np.testing.assert_array_equal(outcome.result, np.clip(scaled + y_zero, lo, hi))


@pytest.mark.parametrize("rounding", ["single", "double"])
@pytest.mark.parametrize("shift", [-2, 0, 5])
def test_constant_factors_rescale_to_the_integer_of_the_reference(rounding: Rounding, shift: int) -> None:
    sums = np.random.default_rng(1).integers(-(2**28), 2**28, 500).astype(np.int32)
    factor = 1_500_000_007

    tensor = te.placeholder(sums.shape, "int32", name="x")
    number, bits = te.const(factor, "int32"), te.const(shift, "int32")
    form = Form(use_neon=True, least_shift=shift)
    result = te.compute(sums.shape, lambda i: rescale(tensor(i), number, bits, rounding, form), name="y")
    function = schedule_default(te.create_prim_func([tensor, result]), isa_of("cortex-a72"))
    (outcome,) = run_calls("cortex-a72", [Call(function, (sums,), sums.shape, "int32")])
    expected = arithmetic.rescale(sums.astype(np.int64), np.full(500, factor), np.full(500, shift), rounding)
    np.testing.assert_array_equal(outcome.result, expected)


def test_it_takes_two_instructions_for_four_lanes() -> None:
    call = _call(_operands(1, 20), (0, -128, 127), "single", Form(use_neon=True, least_shift=1))
    text = assembly(call, isa_of("cortex-a72"))
    assert text.count("sqdmulh\tv") == text.count("srshl\tv") > 0
    assert "smull" not in text
    assert "sqshl" not in text
