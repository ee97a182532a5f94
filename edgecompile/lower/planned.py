"""Products with constant weights: planned for the target, weights packed for the plan.

The micro-kernel decides the arithmetic: float_kernel for float32, integer_kernel for bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from edgecompile.kernels.compact import store_halves
from edgecompile.kernels.compute import Tensor, Window, element_type, shape_of
from edgecompile.kernels.compute_depthwise import DepthwisePlan, depthwise, pack_depthwise_weights
from edgecompile.kernels.compute_gemm import (
    PACKED,
    SCALES,
    GemmPlan,
    pack_gemm_weights,
    pack_scaled_weights,
    packed_conv,
    packed_matmul,
    packed_scaled_matmul,
)
from edgecompile.kernels.compute_winograd import WinogradPlan, pack_winograd_weights, winograd_conv
from edgecompile.kernels.gpu.depthwise import choose_gpu_depthwise_plan
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.plan import (
    DP4A,
    MMA_BYTES,
    MMA_HALVES,
    THREADS,
    WIDE,
    Arithmetic,
    choose_gpu_plan,
)
from edgecompile.kernels.gpu.rows import WarpRows, row_threads
from edgecompile.kernels.gpu.space import GpuDepthwiseSpace, GpuProductSpace
from edgecompile.kernels.gpu.space import option_features as gpu_option_features
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.depthwise import depthwise_kernel
from edgecompile.kernels.intrinsics.select import few_columns_kernels, float_kernel, int4_kernel
from edgecompile.kernels.loops import RowLoops
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.depthwise import choose_depthwise_plan
from edgecompile.kernels.schedules.features import option_features
from edgecompile.kernels.schedules.gemm_plan import Product, choose_plan_of
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.space import DepthwiseSpace, Option, OptionSpace, ProductSpace
from edgecompile.kernels.schedules.winograd_plan import choose_winograd
from edgecompile.lower.compact import Compact
from edgecompile.lower.registry import NodeView

_MAX_ROW_LANES = 64
# With fewer elements, no choice of lanes saves any time.
_LEAST_ROWS = 1024


def planned_conv(
    n: NodeView,
    weights: np.ndarray,
    window: Window,
    kernel: MicroKernel,
    pad: int = 0,
    halves: bool = False,
) -> Tensor:
    """The sums of a channels-last convolution by constant weights [O, C/G, *K]; `pad` surrounds the data.

    With `halves`, weights are stored in float16, which must hold them exactly.
    """
    data, shape, groups = n.input(0), n.outputs[0].shape, n.attr("group", 1)
    rows = np.moveaxis(weights, 1, -1).reshape(len(weights), -1)
    element_bytes = np.dtype(kernel.data).itemsize
    product = Product(
        shape, shape_of(data), len(rows) // groups, rows.shape[1], element_bytes, groups, window, pad
    )
    # Transformed weights are larger than float32: nothing for weights that are to be small.
    plan = _plan(n, data, product, kernel, halves, winograd=kernel.accumulator == "float32" and not halves)
    if isinstance(plan, WinogradPlan):
        packed = n.weight(pack_winograd_weights(weights, plan), PACKED)
        return winograd_conv(data, packed, plan, shape)
    packed = _packed(n, rows, plan, halves)
    return packed_conv(data, packed, plan, shape, kernel.accumulator)


def row_loops(n: NodeView) -> RowLoops:
    """How to go through the rows of a node's result."""
    if n.isa.multiprocessors:
        return _gpu_rows(n)
    machine, shape = Machine.of(n.isa), n.outputs[0].shape
    usual = machine.row_lanes
    others = (
        [1 << bit for bit in range(_MAX_ROW_LANES.bit_length())] if math.prod(shape) >= _LEAST_ROWS else []
    )
    option = n.plans.choose(
        OptionSpace("row_lanes", (usual, *others), partial(option_features, machine, shape))
    )
    assert isinstance(option, Option)
    return RowLoops(option.value)


def _gpu_rows(n: NodeView) -> RowLoops:
    gpu, shape = Gpu(n.isa.multiprocessors), n.outputs[0].shape
    option = n.plans.choose(
        OptionSpace("row_threads", (0, *row_threads(gpu)), partial(gpu_option_features, gpu, shape))
    )
    assert isinstance(option, Option)
    return WarpRows(gpu, option.value)


def is_depthwise(n: NodeView, weights: np.ndarray) -> bool:
    """Whether each channel of a channels-last convolution's result comes from one of the data, in order."""
    groups = shape_of(n.input(0))[-1]
    return bool(weights.shape[1] == 1 and n.attr("group", 1) == groups and len(weights) == groups)


def planned_depthwise(n: NodeView, weights: np.ndarray, window: Window, pad: int = 0) -> Tensor | None:
    """As `planned_conv`, where it `is_depthwise`; None where the general definition is to be used.

    That is where the schedule has no plan, and the usual choice for floats.
    """
    data, shape = n.input(0), n.outputs[0].shape
    dtype = element_type(data)
    floats, nbytes = np.dtype(dtype).kind == "f", np.dtype(dtype).itemsize
    if n.isa.multiprocessors:
        gpu = Gpu(n.isa.multiprocessors)
        usual_plan = choose_gpu_depthwise_plan(gpu, shape, window, pad)
        gpu_plan = n.plans.choose(GpuDepthwiseSpace(usual_plan, gpu, shape))
        assert isinstance(gpu_plan, DepthwisePlan)
        packed = n.weight(pack_depthwise_weights(weights), PACKED)
        return depthwise(data, packed, gpu_plan, shape, "float32" if floats else "int32")
    kernel, machine = depthwise_kernel(n.isa, dtype, int(weights.min())), Machine.of(n.isa)
    planned = choose_depthwise_plan(kernel, machine, shape, shape_of(data), nbytes, window, pad)
    if planned is None:
        return None
    usual, most = (LoopPlan(), machine.registers // 2) if floats else (planned, kernel.pixels)
    plan = n.plans.choose(DepthwiseSpace(usual, planned, machine, shape, most))
    if not isinstance(plan, DepthwisePlan):
        return None
    packed = n.weight(pack_depthwise_weights(weights), PACKED)
    return depthwise(data, packed, plan, shape, "float32" if floats else "int32")


def planned_matmul(
    n: NodeView,
    data: Tensor,
    rows: np.ndarray,
    shape: Sequence[int],
    kernel: MicroKernel,
    halves: bool = False,
) -> Tensor:
    """The sums of `data` [..., K] by constant weights, `rows` [N, K], of `shape` [..., N]."""
    columns, depth = rows.shape
    product = Product(shape, shape_of(data), columns, depth, np.dtype(kernel.data).itemsize)
    plan = _gemm_plan(n, data, product, kernel, halves)
    packed = _packed(n, np.ascontiguousarray(rows), plan, halves)
    return packed_matmul(data, packed, plan, shape, kernel.accumulator)


def planned_scaled_matmul(n: NodeView, data: Tensor, weights: Compact, shape: Sequence[int]) -> Tensor:
    """The sums of `data` [..., K] by weights [K, N] of 4 bits with scales of blocks of K."""
    assert weights.scales is not None
    depth, columns = weights.array.shape
    kernel = int4_kernel(n.isa)
    product = Product(shape, shape_of(data), columns, depth, np.dtype(kernel.data).itemsize)
    plan = replace(_gemm_plan(n, data, product, kernel), scale_block=weights.block)
    packed, scales = pack_scaled_weights(weights.array.T, weights.scales.T, plan)
    operands = n.weight(packed, PACKED), n.weight(scales, SCALES)
    return packed_scaled_matmul(data, *operands, plan, shape)


def has_pairs(weights: Compact) -> bool:
    """Whether every block of K consists of pairs, as `planned_scaled_matmul` needs it."""
    return weights.block % 2 == 0 and len(weights.array) % 2 == 0 and weights.array.size > 0


def _packed(n: NodeView, rows: np.ndarray, plan: GemmPlan, halves: bool) -> Tensor:
    packed = pack_gemm_weights(rows, plan)
    return n.weight(store_halves(packed, n.isa.widens_halves) if halves else packed, PACKED)


def _gemm_plan(
    n: NodeView, data: Tensor, product: Product, kernel: MicroKernel, halves: bool = False
) -> GemmPlan:
    plan = _plan(n, data, product, kernel, halves)
    assert isinstance(plan, GemmPlan)
    return plan


def _plan(
    n: NodeView,
    data: Tensor,
    product: Product,
    kernel: MicroKernel,
    halves: bool,
    winograd: bool = False,
) -> GemmPlan | WinogradPlan:
    """The analytic choice, or what `n.plans` puts in its place; `winograd` allows for that algorithm."""
    if n.isa.multiprocessors:
        return _gpu_plan(n, product, _arithmetics(data, kernel, halves))
    machine, converts = Machine.of(n.isa), kernel.data != element_type(data)
    wasted = product.n % machine.lanes and kernel.name == float_kernel(n.isa).name
    others = few_columns_kernels(n.isa) if wasted else []
    fitting = [kernel, *others] if product.n < machine.lanes else [kernel]
    direct = choose_plan_of(fitting, machine, product, converts)
    usual = winograd and direct.kernel == kernel.name
    other = choose_winograd(kernel, machine, product, direct) if usual else None
    space = ProductSpace(other or direct, kernel, machine, product, converts, winograd, others)
    plan = n.plans.choose(space)
    assert isinstance(plan, GemmPlan | WinogradPlan)
    return plan


def _gpu_plan(n: NodeView, product: Product, kinds: tuple[Arithmetic, ...]) -> GemmPlan:
    gpu = Gpu(n.isa.multiprocessors)
    plan = n.plans.choose(GpuProductSpace(choose_gpu_plan(gpu, product, *kinds), gpu, product, kinds))
    assert isinstance(plan, GemmPlan)
    return plan


def _arithmetics(data: Tensor, kernel: MicroKernel, halves: bool) -> tuple[Arithmetic, ...]:
    """How a GPU may multiply these elements, and halves as weights if so."""
    if halves:
        return (MMA_HALVES,)
    is_bytes = element_type(data) == "int8" and kernel.data == "int8" and kernel.accumulator == "int32"
    if is_bytes:
        return MMA_BYTES, DP4A
    return (WIDE,) if kernel.accumulator == "int64" else (THREADS,)
