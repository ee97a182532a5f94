"""The schedule of a kernel for a GPU: what has a plan by its plan, other blocks element by element.

What is left as it is (loops that are no blocks) becomes grids when it is lowered.
"""

from __future__ import annotations

from tvm import s_tir, tirx

from edgecompile.kernels import compute_depthwise, compute_gemm
from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.gpu.depthwise import expand_depthwise
from edgecompile.kernels.gpu.elements import expand_blocks
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.plan import GpuPlan
from edgecompile.kernels.gpu.product import expand_product
from edgecompile.kernels.schedules.blocks import blocks_of, single_block
from edgecompile.kernels.schedules.default import inline_elementwise
from edgecompile.kernels.schedules.definition import Definition, find_plan, take_apart


def schedule_for_gpu(function: tirx.PrimFunc, gpu: Gpu) -> tirx.PrimFunc:
    """`function` as one grid or several, one after the other."""
    schedule = inline_elementwise(function)
    blocks = blocks_of(schedule)
    return _expand_plan(function, schedule) or expand_blocks(function, schedule, blocks, gpu) or function


def _expand_plan(function: tirx.PrimFunc, schedule: s_tir.Schedule) -> tirx.PrimFunc | None:
    """The function by the grid of its plan; None without one, for more than an epilogue, and with scales."""
    single = single_block(schedule)
    for key in (compute_gemm.PLAN, compute_depthwise.PLAN):
        found = find_plan(schedule, blocks_of(schedule), key)
        if found is None or single is None:
            continue
        definition = take_apart(schedule, *single)
        if definition is not None and definition.scales is None:
            return _expand(function, definition, key, found[1])
    return None


def _expand(function: tirx.PrimFunc, definition: Definition, key: str, plan: str) -> tirx.PrimFunc:
    if key == compute_gemm.PLAN:
        return expand_product(function, definition, GpuPlan.load(plan))
    return expand_depthwise(function, definition, DepthwisePlan.load(plan))
