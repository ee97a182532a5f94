"""The default schedule: inline what is elementwise, compute reductions in register tiles.

A reduction (conv, gemm, pool, mean) is computed for a tile of `rows x columns` outputs at a time: columns
are the innermost output axis and become vector lanes, rows are unrolled, the accumulators stay in registers
and the epilogue (bias, activation, residual) is applied to the tile before it is stored.
"""

from __future__ import annotations

from typing import Any

from tvm import s_tir, tirx
from tvm.ir import Call
from tvm_ffi.structural import structural_walk

from edgecompile.core.target import Isa
from edgecompile.kernels import compute_depthwise, compute_gemm, compute_winograd
from edgecompile.kernels.intrinsics.depthwise import find_depthwise_kernel
from edgecompile.kernels.intrinsics.select import find_kernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.blocks import (
    blocks_of,
    has_own_loops,
    is_reduction,
    is_spatial,
    same_shape,
    single_block,
)
from edgecompile.kernels.schedules.contraction import expand_contraction
from edgecompile.kernels.schedules.definition import find_plan, result_of, take_apart
from edgecompile.kernels.schedules.depthwise import expand_depthwise
from edgecompile.kernels.schedules.elementwise import store_lanes, vectorize_elementwise
from edgecompile.kernels.schedules.implicit_gemm import expand_implicit_gemm
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.reduction import try_tiling
from edgecompile.kernels.schedules.transpose import expand_transposition
from edgecompile.kernels.schedules.winograd import expand_winograd

# How many blocks a definition consists of, by the kind of its plan.
PLANS = {compute_gemm.PLAN: 1, compute_depthwise.PLAN: 1, compute_winograd.PLAN: compute_winograd.STEPS}
# Calls that cost no more than an arithmetic instruction and may be computed again where they are used.
_CHEAP_CALLS = {"if_then_else", "likely", "fabs", "reinterpret"}


def schedule_default(function: tirx.PrimFunc, isa: Isa) -> tirx.PrimFunc:
    """Schedule a kernel for `isa`; a block of a shape that the template does not know keeps plain loops."""
    schedule = inline_elementwise(function)
    planned = _expand_plan(function, schedule, isa)
    if planned is not None:
        return planned
    plan = LoopPlan.of(function)
    expanded = _expand_by_hand(function, schedule, isa, plan)
    if expanded is not None:
        return expanded
    names = [schedule.get(b).name_hint for b in blocks_of(schedule) if is_reduction(schedule, b)]
    machine = Machine.of(isa)
    for name in names:
        schedule = try_tiling(schedule, name, machine, plan)
    for block in blocks_of(schedule):
        if has_own_loops(schedule, block):
            lanes = plan.lanes or store_lanes(schedule, block, machine)
            vectorize_elementwise(schedule, block, lanes, plan.unroll or 1)
    return schedule.mod["main"]


def inline_elementwise(function: tirx.PrimFunc) -> s_tir.Schedule:
    """A schedule of `function` with what is elementwise computed where it is used."""
    schedule = s_tir.Schedule(function)
    _inline_elementwise(schedule)
    # A definition inlined at two places repeats the variables of its `let`s; each gets its own here.
    return s_tir.Schedule(s_tir.transform.ConvertSSA()(schedule.mod))


def has_plan(schedule: s_tir.Schedule) -> bool:
    """Whether a definition in the kernel carries a plan of its own."""
    return any(find_plan(schedule, blocks_of(schedule), key) for key in PLANS)


def _expand_plan(function: tirx.PrimFunc, schedule: s_tir.Schedule, isa: Isa) -> tirx.PrimFunc | None:
    """The function by loops of its own; None where there is no plan or more than an epilogue."""
    blocks = blocks_of(schedule)
    for key, steps in PLANS.items():
        found = find_plan(schedule, blocks, key)
        if found is None:
            continue
        block, text = found
        consumers = schedule.get_consumers(block)
        if len(blocks) != steps + len(consumers) or len(consumers) > 1:
            return None
        if consumers and not same_shape(schedule, block, consumers[0]):
            return None
        definition = take_apart(schedule, block, consumers[0] if consumers else None)
        if definition is None:
            return None
        if key == compute_gemm.PLAN:
            gemm = compute_gemm.GemmPlan.load(text)
            return expand_implicit_gemm(function, definition, gemm, find_kernel(gemm.kernel, isa))
        if key == compute_winograd.PLAN:
            winograd = compute_winograd.WinogradPlan.load(text)
            return expand_winograd(function, definition, winograd, find_kernel(winograd.product.kernel, isa))
        plan = compute_depthwise.DepthwisePlan.load(text)
        return expand_depthwise(function, definition, plan, find_depthwise_kernel(plan.kernel, isa))
    return None


def _expand_by_hand(
    function: tirx.PrimFunc, schedule: s_tir.Schedule, isa: Isa, plan: LoopPlan
) -> tirx.PrimFunc | None:
    """A transposition or a product of two matrices by loops of its own; None for anything else."""
    found = single_block(schedule)
    if found is None:
        return None
    block, consumer = found
    if consumer is None and is_spatial(schedule, block):
        return expand_transposition(function, schedule.get(block), isa, plan)
    if not is_reduction(schedule, block):
        return None
    result, epilogue = result_of(schedule, block, consumer)
    return expand_contraction(function, schedule.get(block), result, epilogue, isa, plan)


def _inline_elementwise(schedule: s_tir.Schedule) -> None:
    """Inline elementwise blocks into their readers, unless that repeats expensive work."""
    for block in blocks_of(schedule):
        consumers = schedule.get_consumers(block)
        if not consumers or not is_spatial(schedule, block):
            continue
        repeated = len(consumers) > 1 or any(is_reduction(schedule, c) for c in consumers)
        if repeated and _is_expensive(schedule.get(block)):
            continue
        try:
            schedule.compute_inline(block)
        except s_tir.ScheduleError:
            continue  # read by an extern block, or at two places of one block


def _is_expensive(block: Any) -> bool:
    found = False

    def visit(call: Call) -> None:
        nonlocal found
        found = found or getattr(call.op, "name", "").split(".")[-1] not in _CHEAP_CALLS

    structural_walk(block.body, [(Call, visit)])
    return found
