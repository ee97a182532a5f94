"""A kernel's definition taken apart: reductions over packed weights, and what is computed from its result.

A schedule that writes its own loops replaces the first, and applies the second to its accumulators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import s_tir
from tvm.ir.expr import TensorLoad
from tvm_ffi.structural import structural_map

from edgecompile.kernels.compute_gemm import PACKED, SCALES
from edgecompile.kernels.math import Expr
from edgecompile.kernels.schedules.expressions import substitute


@dataclass(frozen=True)
class Definition:
    """The buffers of a definition, and the epilogue that turns sums of type `accumulator` into elements.

    `scales` are those of weights of 4 bits, otherwise None.
    """

    data: Any
    weights: Any
    result: Any
    accumulator: str
    epilogue: Callable[[Sequence[Expr], Expr], Expr]
    scales: Any = None


def find_plan(schedule: s_tir.Schedule, blocks: list[Any], key: str) -> tuple[Any, str] | None:
    """The block that carries a plan under `key`, and the plan's text; or None."""
    for block in blocks:
        text = schedule.get(block).annotations.get(key)
        if text is not None:
            return block, str(text)
    return None


def steps_of(schedule: s_tir.Schedule, block: Any) -> list[Any]:
    """The blocks that a definition consists of, in order: `block` is the last of them."""
    return [step for before in schedule.get_producers(block) for step in steps_of(schedule, before)] + [block]


def take_apart(schedule: s_tir.Schedule, block: Any, epilogue: Any | None) -> Definition | None:
    """The parts of a definition; `epilogue` is the one block that reads `block`'s result, if any.

    None where TVM has folded an operand away: every position of the window falls in the padding.
    """
    steps = [schedule.get(step) for step in steps_of(schedule, block)]
    written = steps[-1].writes[0].source
    between = [step.writes[0].source for step in steps]
    read = [region.source for step in steps for region in step.reads]
    operands = [source for source in read if not any(source.same_as(own) for own in between)]
    weights, scales = (_named(operands, name) for name in (PACKED, SCALES))
    data = next((o for o in operands if not o.same_as(weights) and not o.same_as(scales)), None)
    if weights is None or data is None:
        return None
    result, apply = result_of(schedule, block, epilogue)
    return Definition(data, weights, result, str(written.ty.dtype), apply, scales)


def _named(operands: Sequence[Any], name: str) -> Any:
    return next((operand for operand in operands if operand.name.startswith(name)), None)


def result_of(
    schedule: s_tir.Schedule, block: Any, epilogue: Any | None
) -> tuple[Any, Callable[[Sequence[Expr], Expr], Expr]]:
    """Where the results of `block` go in the end, and what (index, total) becomes by `epilogue`."""
    written = schedule.get(block).writes[0].source
    if epilogue is None:
        return written, lambda _, total: total
    after = schedule.get(epilogue)
    variables, store = [v.var for v in after.iter_vars], after.body

    def apply(index: Sequence[Expr], total: Expr) -> Expr:
        def load(access: TensorLoad) -> Expr:
            return total if access.source.same_as(written) else access

        return structural_map(substitute(store.value, variables, index), [(TensorLoad, load)])

    return store.buffer, apply
