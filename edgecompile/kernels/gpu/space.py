"""Design spaces of kernels for a GPU: every plan that fits the machine, the analytic choice first.

What breaks a limit of the machine (threads of a block, registers, a block's memory) is not offered. All plans
have the same features, so that one model learns from all of them; sizes are logarithms to base 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, product

from edgecompile.kernels.compute_gemm import rows_of
from edgecompile.kernels.gpu.depthwise import (
    MOST_PIXELS,
    GpuDepthwisePlan,
    fits,
    threads_of,
    vector_lanes,
)
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.plan import ARITHMETICS, Arithmetic, GpuPlan, cycles, gpu_plans
from edgecompile.kernels.schedules.gemm_plan import Product
from edgecompile.kernels.schedules.space import Plan

# Threads of a block where a plan leaves them open.
BLOCKS = (64, 128, 256)
# What stands in the place of the arithmetic of a product.
_DEPTHWISE, _OPTION = -1.0, -2.0
_COUNT = 22


@dataclass(frozen=True)
class GpuProductSpace:
    """Plans for a product by any of the arithmetics `kinds`."""

    usual: GpuPlan
    gpu: Gpu
    product: Product
    kinds: tuple[Arithmetic, ...]
    is_open = True

    def plans(self) -> list[Plan]:
        others = chain.from_iterable(gpu_plans(self.gpu, self.product, kind) for kind in self.kinds)
        return list(dict.fromkeys((self.usual, *others)))

    def features(self, plan: Plan) -> list[float]:
        assert isinstance(plan, GpuPlan)
        m = rows_of(self.product.shape)
        blocks = -(-m // plan.block) * plan.tiles * plan.groups
        shape = (m, self.product.n, self.product.k, self.product.groups, blocks, plan.threads)
        own = [
            *(float(size) for size in (plan.rows, plan.thread_columns, plan.slices)),
            *map(_log, (plan.block, plan.columns, plan.words, plan.shared_words + plan.shared_sums)),
            *(float(size) for size in (plan.sums, plan.held)),
            plan.rows * plan.thread_columns / (plan.rows + plan.thread_columns),
            m / (-(-m // plan.block) * plan.block),
            plan.n / (plan.tiles * plan.columns),
        ]
        kind = float(list(ARITHMETICS).index(plan.kernel))
        return _features(self.gpu, kind, shape, own, cycles(self.gpu, self.product, plan))


@dataclass(frozen=True)
class GpuDepthwiseSpace:
    """Plans for a depthwise convolution into `shape`."""

    usual: GpuDepthwisePlan
    gpu: Gpu
    shape: Sequence[int]
    is_open = True

    def plans(self) -> list[Plan]:
        lanes = [1 << bit for bit in range(vector_lanes(self.shape).bit_length())]
        pixels = range(1, min(MOST_PIXELS, self.shape[-2]) + 1)
        all_plans = (
            replace(self.usual, lanes=own, pixels=many, block=block)
            for own, many, block in product(lanes, pixels, BLOCKS)
        )
        return list(dict.fromkeys((self.usual, *filter(fits, all_plans))))

    def features(self, plan: Plan) -> list[float]:
        assert isinstance(plan, GpuDepthwisePlan)
        threads, taps = threads_of(self.shape, plan), math.prod(plan.window.kernel)
        blocks = -(-threads // plan.block)
        shape = (rows_of(self.shape), self.shape[-1], taps, self.shape[-1], blocks, plan.block)
        each = plan.pixels * plan.lanes
        rounds = -(-blocks // self.gpu.multiprocessors)
        own = [float(plan.lanes), float(plan.pixels), float(each), self.shape[-2] / plan.pixels % 1.0]
        return _features(self.gpu, _DEPTHWISE, shape, own, rounds * plan.block * each * taps)


def option_features(gpu: Gpu, shape: Sequence[int], value: int) -> list[float]:
    """The features of a kernel with a result of `shape` that depends on one number."""
    sizes = (rows_of(shape), shape[-1] if shape else 1, 1, 1, 1, 1)
    return _features(gpu, _OPTION, sizes, [float(value)], math.prod(shape))


def _features(
    gpu: Gpu, kind: float, shape: Sequence[int], own: Sequence[float], cycles: float
) -> list[float]:
    """`shape` is (m, n, k, groups, blocks, threads); `own` is padded to the length of the longest."""
    found = [kind, *map(_log, shape), _log(gpu.multiprocessors), shape[4] / gpu.multiprocessors, *own]
    return [*found, *[0.0] * (_COUNT - 1 - len(found)), _log(cycles)]


def _log(size: float) -> float:
    return math.log2(max(size, 1.0))
