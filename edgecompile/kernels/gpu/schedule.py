"""The schedule of a kernel for a GPU: products by their plan, other blocks element by element.

What is left as it is (loops that are no blocks) becomes grids when it is lowered.
"""

from __future__ import annotations

from tvm import s_tir, tirx

from edgecompile.kernels.compute_gemm import PLAN
from edgecompile.kernels.gpu.elements import expand_blocks
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.plan import GpuPlan
from edgecompile.kernels.gpu.product import expand_product
from edgecompile.kernels.schedules.blocks import blocks_of, single_block
from edgecompile.kernels.schedules.default import inline_elementwise
from edgecompile.kernels.schedules.definition import find_plan, take_apart


def schedule_for_gpu(function: tirx.PrimFunc, gpu: Gpu) -> tirx.PrimFunc:
    """`function` as one grid or several, one after the other."""
    schedule = inline_elementwise(function)
    blocks = blocks_of(schedule)
    return _expand_plan(function, schedule) or expand_blocks(function, schedule, blocks, gpu) or function


def _expand_plan(function: tirx.PrimFunc, schedule: s_tir.Schedule) -> tirx.PrimFunc | None:
    """The function by the grid of its plan; None where there is no plan or more than an epilogue."""
    single = single_block(schedule)
    found = find_plan(schedule, blocks_of(schedule), PLAN)
    if found is None or single is None:
        return None
    definition = take_apart(schedule, *single)
    return None if definition is None else expand_product(function, definition, GpuPlan.load(found[1]))
