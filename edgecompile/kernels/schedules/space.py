"""Design spaces: every plan that is worth measuring for one workload, the analytic choice first.

Here are those of the planned kernels, whose knobs are the micro-kernel and its tile, where rows come from,
how much is worked on at a time, and Winograd's algorithm where it applies; and those of a single number. The
space of all other kernels is in loop_space.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from typing import Any, Protocol, TypeAlias

from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.compute_gemm import GemmPlan, Source, rows_of
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.features import (
    LoopWork,
    depthwise_features,
    loop_features,
    product_features,
)
from edgecompile.kernels.schedules.gemm_plan import (
    Product,
    choose_source,
    line_window,
    plan_product,
    register_tiles,
)
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.winograd_plan import has_winograd_form, plan_winograd
from edgecompile.kernels.winograd import TILES


@dataclass(frozen=True)
class Option:
    """One number that a definition depends on, by the name of its knob."""

    name: str
    value: int


Plan: TypeAlias = GemmPlan | WinogradPlan | DepthwisePlan | LoopPlan | Option

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

    @property
    def is_open(self) -> bool:
        """Whether there is likely more than the usual plan; quickly told."""
        ...

    def plans(self) -> list[Plan]:
        """Every plan once, the usual one first."""
        ...

    def features(self, plan: Plan) -> list[float]:
        """What a cost model is told of `plan`."""
        ...


@dataclass(frozen=True)
class ProductSpace:
    """Plans for a product by `kernel`, or by one of the `others`.

    `converts`: rows are stored in another element type than it needs.
    """

    usual: GemmPlan | WinogradPlan
    kernel: MicroKernel
    machine: Machine
    product: Product
    converts: bool = False
    winograd: bool = False
    others: Sequence[MicroKernel] = ()
    is_open = True

    def plans(self) -> list[Plan]:
        kernels = (self.kernel, *self.others)
        spaces = (gemm_space(kernel, self.machine, self.product, self.converts) for kernel in kernels)
        direct = chain.from_iterable(spaces)
        other = winograd_space(self.kernel, self.machine, self.product) if self.winograd else ()
        return list(dict.fromkeys((self.usual, *direct, *other)))

    def features(self, plan: Plan) -> list[float]:
        assert isinstance(plan, GemmPlan | WinogradPlan)
        name = plan.kernel if isinstance(plan, GemmPlan) else self.kernel.name
        kernel = next(one for one in (self.kernel, *self.others) if one.name == name)
        return product_features(kernel, self.machine, self.product, plan)


@dataclass(frozen=True)
class DepthwiseSpace:
    """Plans for a depthwise convolution into `shape` that vary `planned`, with at most `most_pixels` a tile.

    `usual` is `planned` itself, or the general schedule.
    """

    usual: DepthwisePlan | LoopPlan
    planned: DepthwisePlan
    machine: Machine
    shape: Sequence[int]
    most_pixels: int
    is_open = True

    def plans(self) -> list[Plan]:
        others = depthwise_space(self.planned, self.shape, self.most_pixels)
        return list(dict.fromkeys((self.usual, self.planned, *others)))

    def features(self, plan: Plan) -> list[float]:
        if isinstance(plan, LoopPlan):
            return loop_features(self.machine, self._general(), plan)
        assert isinstance(plan, DepthwisePlan)
        return depthwise_features(self.machine, self.shape, plan)

    def _general(self) -> LoopWork:
        taps = prod(self.planned.window.kernel)
        return LoopWork(self.shape, taps, 4, self.machine.lanes, 2, True)


@dataclass(frozen=True)
class OptionSpace:
    """The `values` of one number, the usual one first; `describe` gives the features of a value."""

    name: str
    values: Sequence[int]
    describe: Callable[[int], list[float]]

    @property
    def usual(self) -> Option:
        return Option(self.name, self.values[0])

    @property
    def is_open(self) -> bool:
        return len(self.values) > 1

    def plans(self) -> list[Plan]:
        return [Option(self.name, value) for value in dict.fromkeys(self.values)]

    def features(self, plan: Plan) -> list[float]:
        assert isinstance(plan, Option)
        return self.describe(plan.value)


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
    if isinstance(plan, LoopPlan):
        return plan.knobs or {"loops": "usual"}
    if isinstance(plan, Option):
        return {plan.name: plan.value}
    if isinstance(plan, WinogradPlan):
        return {"winograd": plan.tile} | knobs(plan.product)
    return {name: getattr(plan, name) for name in plan.KNOBS}


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
