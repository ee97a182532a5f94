"""The design space of the kernels that the general schedule builds."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import tvm_ffi
from tvm import s_tir, tirx
from tvm_ffi.structural import structural_walk

from edgecompile.core.target import Isa
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.blocks import (
    blocks_of,
    has_own_loops,
    is_reduction,
    single_block,
)
from edgecompile.kernels.schedules.contraction import contraction_plans
from edgecompile.kernels.schedules.default import PLANS, has_plan, inline_elementwise
from edgecompile.kernels.schedules.elementwise import elementwise_plans, store_lanes
from edgecompile.kernels.schedules.features import LoopWork, loop_features
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.reduction import reduction_plans, reduction_steps
from edgecompile.kernels.schedules.space import Plan
from edgecompile.kernels.schedules.transpose import LOOPS, transposition_plans

# Kernels that compute fewer elements, steps of reductions counted, take no time worth saving.
_LEAST_WORK = 1024


@dataclass(frozen=True)
class LoopSpace:
    """Plans for `function`; only the analytic choice where a definition in it has a plan of its own.

    Nor is there a choice on a GPU.
    """

    function: tirx.PrimFunc
    isa: Isa

    @property
    def usual(self) -> LoopPlan:
        return LoopPlan()

    @property
    def is_open(self) -> bool:
        if self.isa.multiprocessors:
            return False
        blocks: list[Any] = []
        structural_walk(self.function.body, [(s_tir.SBlock, blocks.append)])
        planned = any(key in block.annotations for block in blocks for key in PLANS)
        extents = [[int(v.dom.extent) for v in block.iter_vars] for block in blocks]
        return not planned and any(len(one) and math.prod(one) >= _LEAST_WORK for one in extents)

    def plans(self) -> list[Plan]:
        others = [] if self.isa.multiprocessors else _plans(self._schedule, self.isa)
        return list(dict.fromkeys([self.usual, *others]))

    def features(self, plan: Plan) -> list[float]:
        assert isinstance(plan, LoopPlan)
        return loop_features(Machine.of(self.isa), self._work, plan)

    @cached_property
    def _schedule(self) -> s_tir.Schedule:
        return inline_elementwise(self.function)

    @cached_property
    def _work(self) -> LoopWork:
        return _work(self._schedule, Machine.of(self.isa))


def _plans(schedule: s_tir.Schedule, isa: Isa) -> list[LoopPlan]:
    """The plans for the heaviest block; they are applied to all of its kind."""
    machine, block = Machine.of(isa), _heaviest(schedule)
    if block is None or has_plan(schedule) or _steps(schedule, block) < _LEAST_WORK:
        return []
    alone = single_block(schedule)
    if is_reduction(schedule, block):
        by_hand = contraction_plans(schedule.get(block), isa) if alone is not None else []
        return by_hand or reduction_plans(schedule, block, machine)
    by_element = elementwise_plans(schedule, block, machine)
    turned = alone is not None and alone[1] is None and transposition_plans(schedule.get(block), isa)
    return [*turned, *(replace(plan, form=LOOPS) for plan in by_element)] if turned else by_element


def _heaviest(schedule: s_tir.Schedule) -> Any | None:
    """The block with the most work, of those that the schedule knows; None where there is none."""
    known = [b for b in blocks_of(schedule) if is_reduction(schedule, b) or has_own_loops(schedule, b)]
    return max(known, key=lambda block: _steps(schedule, block), default=None)


def _steps(schedule: s_tir.Schedule, block: Any) -> int:
    """Elements that a block computes, or steps of its reductions."""
    return math.prod(int(v.dom.extent) for v in schedule.get(block).iter_vars)


def _work(schedule: s_tir.Schedule, machine: Machine) -> LoopWork:
    block = _heaviest(schedule)
    assert block is not None
    body = schedule.get(block)
    written = body.writes[0].source
    reduces = is_reduction(schedule, block)
    return LoopWork(
        [int(extent) for extent in written.ty.shape],
        reduction_steps(schedule, block) if reduces else 1,
        int(tvm_ffi.dtype(str(written.ty.dtype)).bits) // 8,
        store_lanes(schedule, block, machine),
        len(body.reads),
        reduces,
    )
