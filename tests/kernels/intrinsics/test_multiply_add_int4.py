"""Products with weights of 4 bits, by themselves: numbers, and what the inner loop consists of."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgecompile.backends.pipeline import optimize
from edgecompile.core.target import find_target
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.lower.lower import lower_graph
from tests.support.compact import Array, CompactGraph, expected
from tests.support.on_target import Call, assembly, isa_of, run_calls
from tests.support.quantized import as_model


def product(target: str, rows: int, depth: int, columns: int, block: int) -> tuple[Call, Array]:
    """The one kernel of a MatMul, and its result."""
    g = CompactGraph()
    x = g.normal(rows, depth)
    message = g.model({"x": x}, g.node("MatMul", ["x", g.nibbles(depth, columns, block=block)]))
    isa = isa_of(target)
    lowered = lower_graph(optimize(as_model(message), find_target(target))[0], "net", isa)
    (function,), (step,) = lowered.functions.values(), lowered.program.steps
    weights = lowered.program.weights
    inputs = [weights.get(name, x) for name in step.reads]
    return Call(schedule_default(function, isa), inputs, (rows, columns), "float32"), expected(
        message, {"x": x}
    )


@pytest.mark.parametrize("target", ["host", "x86-64", "cortex-a76", "cortex-a7"])
def test_products_of_all_kinds_of_tiles(target: str) -> None:
    """One row and many, tiles that are cut off, a last block that is shorter, one block for everything."""
    shapes = [(1, 64, 48, 32), (1, 64, 200, 16), (7, 70, 33, 32), (33, 34, 17, 6), (5, 20, 16, 64)]
    cases = [product(target, *shape) for shape in shapes]
    outcomes = run_calls(target, [call for call, _ in cases])
    for outcome, (_, wanted) in zip(outcomes, cases, strict=True):
        np.testing.assert_allclose(outcome.result, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


@pytest.mark.parametrize(
    ("target", "widening", "multiply_add"),
    [("cortex-a76", r"\tscvtf", r"\tfmla"), ("cortex-m4", r"\tvcvt\.f32\.s32", r"\tv(mul|fma)\.f32")],
)
def test_weights_are_widened_in_the_loop_that_uses_them(
    target: str, widening: str, multiply_add: str
) -> None:
    call, _ = product(target, 1, 64, 64, 32)
    code = assembly(call, isa_of(target)).partition("__truncsfhf2")[0]
    blocks = re.split(r"^\.LBB\w+:", code, flags=re.MULTILINE)
    assert any(re.search(widening, block) and re.search(multiply_add, block) for block in blocks)


def test_rows_share_a_widened_weight() -> None:
    """Four times the rows are far less than four times the work."""
    (one, _), (four, _) = (product("cortex-a76", rows, 256, 64, 32) for rows in (1, 4))
    counts = [outcome.instructions for outcome in run_calls("cortex-a76", [one, four])]
    assert counts[0] is not None
    assert counts[1] is not None
    assert counts[1] < 2.5 * counts[0]
