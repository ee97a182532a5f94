"""The design space of the planned kernels: every plan that is worth measuring for one workload.

The knobs are those of the plans: the micro-kernel and its tile, where rows come from, how much is worked on
at a time, and Winograd's algorithm where it applies. The analytic choice is always the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Protocol, TypeAlias

from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.compute_gemm import GemmPlan, Source, rows_of
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.features import depthwise_features, product_features
from edgecompile.kernels.schedules.gemm_plan import (
    Product,
    choose_source,
    line_window,
    plan_product,
    register_tiles,
)
from edgecompile.kernels.schedules.winograd_plan import has_winograd_form, plan_winograd
from edgecompile.kernels.winograd import TILES

Plan: TypeAlias = GemmPlan | WinogradPlan | DepthwisePlan

# Where rows may come from besides the place that the analytic model prefers: any window can be gathered.
_SOURCES: dict[Source, tuple[Source, ...]] = {
    "memory": ("memory",),
    "lines": ("lines", "gather"),
    "gather": ("gather",),
}
# So many bytes of rows may be gathered at a time, in caches of the first level: beyond, nothing is won.
_GATHERED_CACHES = 2


class Space(Protocol):
    """The plans for one workload; `usual` is the analytic choice."""

    @property
    def usual(self) -> Plan: ...

    def plans(self) -> list[Plan]:
        """Every plan once, the usual one first."""
        ...

    def features(self, plan: Plan) -> list[float]:
        """What a cost model is told of `plan`."""
        ...


@dataclass(frozen=True)
class ProductSpace:
    """Plans for a product by `kernel`; `converts`: rows are stored in another element type than it needs."""

    usual: GemmPlan | WinogradPlan
    kernel: MicroKernel
    machine: Machine
    product: Product
    converts: bool = False
    winograd: bool = False

    def plans(self) -> list[Plan]:
        found: dict[str, Plan] = {self.usual.dump(): self.usual}
        for plan in gemm_space(self.kernel, self.machine, self.product, self.converts):
            found.setdefault(plan.dump(), plan)
        for other in winograd_space(self.kernel, self.machine, self.product) if self.winograd else ():
            found.setdefault(other.dump(), other)
        return list(found.values())

    def features(self, plan: Plan) -> list[float]:
        assert not isinstance(plan, DepthwisePlan)
        return product_features(self.kernel, self.machine, self.product, plan)


@dataclass(frozen=True)
class DepthwiseSpace:
    """Plans for a depthwise convolution into `shape`, with tiles of at most `most_pixels` pixels."""

    usual: DepthwisePlan
    machine: Machine
    shape: Sequence[int]
    most_pixels: int

    def plans(self) -> list[Plan]:
        found: dict[str, Plan] = {self.usual.dump(): self.usual}
        for plan in depthwise_space(self.usual, self.shape, self.most_pixels):
            found.setdefault(plan.dump(), plan)
        return list(found.values())

    def features(self, plan: Plan) -> list[float]:
        assert isinstance(plan, DepthwisePlan)
        return depthwise_features(self.machine, self.shape, plan)


class PlanChoice(Protocol):
    """Who decides which plan of a space a kernel is built by."""

    def choose(self, space: Space) -> Plan:
        """One of the plans of `space`."""
        ...


class UsualPlan:
    """The analytic choice."""

    def choose(self, space: Space) -> Plan:
        return space.usual


def knobs(plan: Plan) -> dict[str, Any]:
    """The values that were free to choose: what a candidate is called in records."""
    if isinstance(plan, WinogradPlan):
        return {"winograd": plan.tile} | knobs(plan.product)
    if isinstance(plan, DepthwisePlan):
        return {"kernel": plan.kernel, "pixels": plan.pixels, "block": plan.block}
    names = ("kernel", "source", "rows", "columns", "block")
    return {name: getattr(plan, name) for name in names}


def gemm_space(kernel: MicroKernel, machine: Machine, product: Product, converts: bool) -> Iterator[GemmPlan]:
    """All plans by `kernel`; `converts`: rows are stored in another element type than it needs."""
    for source in _SOURCES[choose_source(kernel, machine, product, converts)]:
        if source == "lines":
            _, lines, width = line_window(product)
            for rows, columns in register_tiles(kernel, machine, width, product.n):
                for block in divisors(lines):
                    yield plan_product(kernel, product, source, rows, columns, block)
        else:
            m = rows_of(product.shape)
            most = m if source == "memory" else _gathered_rows(machine, product)
            for rows, columns in register_tiles(kernel, machine, m, product.n):
                for tiles in doublings(-(-min(m, most) // rows)):
                    yield plan_product(kernel, product, source, rows, columns, tiles * rows)


def winograd_space(kernel: MicroKernel, machine: Machine, product: Product) -> Iterator[WinogradPlan]:
    """All plans by Winograd's algorithm; none where it does not apply."""
    if product.window is None or not has_winograd_form(machine, product):
        return
    for tile in TILES:
        usual = plan_winograd(kernel, machine, product, product.window, tile)
        total = prod(usual.tiles(product.shape))
        for rows, columns in register_tiles(kernel, machine, total, product.n):
            for count in doublings(-(-total // rows)):
                inner = replace(usual.product, rows=rows, columns=columns, block=min(total, count * rows))
                yield replace(usual, product=inner)


def depthwise_space(usual: DepthwisePlan, shape: Sequence[int], most_pixels: int) -> Iterator[DepthwisePlan]:
    """All plans for a result of `shape` that `usual` computes; tiles of at most `most_pixels` pixels."""
    lines = shape[1] if len(shape) == 4 else 1
    for pixels in range(1, most_pixels + 1):
        for block in divisors(lines) if usual.block > 1 or lines > 1 else (1,):
            yield replace(usual, pixels=pixels, block=block)


def divisors(count: int) -> list[int]:
    """All numbers that divide `count`, the least first."""
    return [size for size in range(1, count + 1) if count % size == 0]


def doublings(most: int) -> list[int]:
    """1, 2, 4, ... and `most` itself."""
    return sorted({*(1 << bit for bit in range(most.bit_length()) if 1 << bit < most), most})


def _gathered_rows(machine: Machine, product: Product) -> int:
    """The most rows to gather at a time."""
    return max(1, _GATHERED_CACHES * max(machine.l1_bytes, 4096) // (product.k * product.element_bytes))
