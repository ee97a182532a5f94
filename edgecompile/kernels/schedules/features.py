"""What a cost model is told of a plan: sizes, how the tile fits them, and how far the operands are away.

All plans have the same features, whatever their kind, so that one model learns from all of them. Sizes are
logarithms to base 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.compute_gemm import GemmPlan, rows_of
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product, line_window
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.winograd_plan import direct_cycles, winograd_cycles

_SUMS_BYTES = 4
# How many features every plan has.
_COUNT = 27


# What takes the place of the size of Winograd's tiles, by the kind of a plan.
_DEPTHWISE, _LOOPS, _OPTION = -1.0, -2.0, -3.0
_ORDERS = (None, "rows", "columns", "lines")
_FORMS = (None, "interleave", "take apart", "blocks", "loops", "packed", "in place")


@dataclass(frozen=True)
class LoopWork:
    """What a kernel of the general schedule computes: a result of `shape`, each element in so many `steps`.

    `element_bytes` is the size of an element, `lanes` are those of the usual vector; `operands` are read.
    """

    shape: Sequence[int]
    steps: int
    element_bytes: int
    lanes: int
    operands: int
    reduces: bool


def product_features(
    kernel: MicroKernel, machine: Machine, product: Product, plan: GemmPlan | WinogradPlan
) -> list[float]:
    """The features of a plan for a product."""
    if isinstance(plan, WinogradPlan):
        inner, tile = plan.product, plan.tile
        m = math.prod(plan.tiles(product.shape))
        cycles = winograd_cycles(kernel, machine, product, plan)
        block_bytes = inner.block * inner.groups * (inner.k + inner.columns) * _SUMS_BYTES
        block_rows = inner.block
    else:
        inner, tile, m = plan, 0, rows_of(product.shape)
        if plan.source == "lines":
            m = line_window(product)[2]
        cycles = direct_cycles(kernel, machine, product, plan)
        block_rows = plan.block * (m if plan.source == "lines" else 1)
        block_bytes = block_rows * plan.depth * product.element_bytes
    vectors = inner.columns / kernel.lanes
    tile_bytes = inner.depth * inner.columns * product.element_bytes
    return [
        *_sizes(machine, product.shape, product.n, product.k, product.groups, product.window),
        float(product.element_bytes),
        float(tile),
        float(kernel.lanes),
        float(inner.source == "lines"),
        float(inner.source == "gather"),
        float(inner.rows),
        vectors,
        inner.rows * vectors / machine.in_flight,
        kernel.registers(inner.rows, inner.columns) / machine.registers,
        kernel.cycles(inner.rows, inner.columns) / (inner.rows * vectors),
        _used(m, inner.rows),
        _used(inner.n, inner.columns),
        _log(block_rows),
        _log(block_bytes) - _log(machine.l1_bytes),
        _log(block_bytes) - _log(machine.l2_bytes),
        _log(tile_bytes) - _log(machine.l1_bytes),
        _log(inner.group_elements * inner.groups * product.element_bytes) - _log(machine.l2_bytes),
        _log(cycles),
    ]


def depthwise_features(machine: Machine, shape: Sequence[int], plan: DepthwisePlan) -> list[float]:
    """The features of a plan for a depthwise convolution into `shape`."""
    width, channels = shape[-2], shape[-1]
    taps = math.prod(plan.window.kernel)
    line_bytes = width * channels
    own = [
        *_sizes(machine, shape, 1, taps, channels, plan.window),
        0.0,
        _DEPTHWISE,
        float(plan.lanes),
        1.0,
        0.0,
        float(plan.pixels),
        1.0,
        plan.pixels / machine.in_flight,
        (plan.pixels + 2) / machine.registers,
        1.0,
        _used(width, plan.pixels),
        _used(channels, plan.lanes),
        _log(plan.block),
        _log(plan.block * line_bytes) - _log(machine.l1_bytes),
        _log(plan.block * line_bytes) - _log(machine.l2_bytes),
        _log(taps * channels) - _log(machine.l1_bytes),
        _log(taps * channels) - _log(machine.l2_bytes),
    ]
    steps = math.prod(shape[:-2]) * -(-width // plan.pixels) * -(-channels // plan.lanes)
    return [*own, _log(steps * plan.pixels * taps)]


def loop_features(machine: Machine, work: LoopWork, plan: LoopPlan) -> list[float]:
    """The features of a plan for a kernel of the general schedule."""
    columns = work.shape[-1] if work.shape else 1
    rows = math.prod(work.shape[:-1])
    lanes = plan.lanes or work.lanes
    width, height = plan.columns or lanes, plan.rows or 1
    tile_bytes = width * height * work.element_bytes
    result_bytes = rows * columns * work.element_bytes
    return [
        *_sizes(machine, (rows, columns), columns, work.steps, work.operands, None),
        float(work.element_bytes),
        _LOOPS,
        float(lanes),
        float(_ORDERS.index(plan.order)),
        float(_FORMS.index(plan.form)),
        float(plan.rows or 0),
        (plan.columns or 0) / work.lanes,
        height * width / work.lanes / machine.in_flight,
        (height + 1) * width / work.lanes / machine.registers,
        float(plan.unroll or 0),
        _used(rows, height),
        _used(columns, width),
        float(work.reduces),
        _log(tile_bytes) - _log(machine.l1_bytes),
        _log(work.steps * width * work.element_bytes) - _log(machine.l1_bytes),
        _log(result_bytes) - _log(machine.l1_bytes),
        _log(result_bytes) - _log(machine.l2_bytes),
        _log(rows * columns * work.steps),
    ]


def option_features(machine: Machine, shape: Sequence[int], value: int) -> list[float]:
    """The features of a definition that depends on one number."""
    own = [*_sizes(machine, shape, shape[-1] if shape else 1, 1, 1, None), 0.0, _OPTION, float(value)]
    return own + [0.0] * (_COUNT - len(own))


def _sizes(
    machine: Machine, shape: Sequence[int], n: int, k: int, groups: int, window: Window | None
) -> list[float]:
    taps = 1 if window is None else math.prod(window.kernel)
    stride = 1 if window is None else window.strides[-1]
    return [
        _log(rows_of(shape)),
        _log(n),
        _log(k),
        _log(groups),
        _log(taps),
        float(stride),
        float(machine.registers),
        _log(machine.l1_bytes),
        _log(machine.l2_bytes),
    ]


def _used(extent: int, tile: int) -> float:
    """The part of all tiles that lies inside of `extent`."""
    return extent / (-(-extent // tile) * tile)


def _log(size: float) -> float:
    return math.log2(max(size, 1.0))
