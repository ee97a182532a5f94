"""Depthwise convolution on a GPU: a thread computes some neighbours of a line, for some channels.

What the windows of neighbours share is read once. Threads that are neighbours have neighbouring channels, so
that they read and write memory side by side.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Window, flatten, unflatten
from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.gpu.grid import grid, only_if, private
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.loops import choose, each, flat_view, lane_loop, span
from edgecompile.kernels.math import Expr, cast, const
from edgecompile.kernels.schedules.definition import Definition
from edgecompile.kernels.schedules.expressions import with_loops

_THREADS = 128
# Fewer threads than this on each multiprocessor leave it waiting for memory.
_BUSY_THREADS = 512
MOST_PIXELS = 8
_MAX_LANES, _MAX_HELD = 4, 64


@dataclass(frozen=True)
class GpuDepthwisePlan(DepthwisePlan):
    """A thread computes `pixels` neighbours of a line by `lanes` channels; `block` threads are a block."""

    KNOBS = ("pixels", "lanes", "block")


def choose_gpu_depthwise_plan(gpu: Gpu, shape: Sequence[int], window: Window, pad: int) -> GpuDepthwisePlan:
    """The plan for a result of `shape` [N, *S, C]: as much a thread as leaves all multiprocessors busy."""
    lanes, pixels = vector_lanes(shape), 1
    threads = math.prod(shape) // lanes
    enough = gpu.multiprocessors * _BUSY_THREADS
    while lanes > 1 and threads < enough:
        lanes, threads = lanes // 2, threads * 2
    while pixels < min(MOST_PIXELS, shape[-2]) and threads // 2 >= enough:
        pixels, threads = pixels * 2, threads // 2
    plan = GpuDepthwisePlan("threads", lanes, pixels, _THREADS, window, pad)
    while plan.pixels > 1 and not fits(plan):
        plan = replace(plan, pixels=plan.pixels // 2)
    return plan


def fits(plan: DepthwisePlan) -> bool:
    """Whether what a thread holds of a line fits into its registers, or cannot be less."""
    return plan.pixels == 1 or _columns(plan.window, plan.pixels) * plan.lanes <= _MAX_HELD


def vector_lanes(shape: Sequence[int]) -> int:
    """The most neighbouring channels of a result of `shape` that a thread may have."""
    return math.gcd(_MAX_LANES, shape[-1])


def threads_of(shape: Sequence[int], plan: DepthwisePlan) -> int:
    """How many threads compute a result of `shape`."""
    return math.prod(shape[:-2]) * -(-shape[-2] // plan.pixels) * (shape[-1] // plan.lanes)


def expand_depthwise(function: tirx.PrimFunc, definition: Definition, plan: DepthwisePlan) -> tirx.PrimFunc:
    """`function` with its body replaced by the grid of the plan."""
    return with_loops(function, lambda: _Emitter(definition, plan).emit())


def _columns(window: Window, pixels: int) -> int:
    """Elements of an input line that the windows of `pixels` neighbours reach over."""
    last = window.along([window.rank - 1])
    return last.highest(0, pixels) + last.pads[0] + 1


class _Emitter:
    """Emits the statements of one thread."""

    def __init__(self, definition: Definition, plan: DepthwisePlan) -> None:
        self.definition, self.plan, self.window = definition, plan, plan.window
        self.shape = [int(extent) for extent in definition.result.ty.shape]
        self.extents = [int(extent) for extent in definition.data.ty.shape]
        self.columns = _columns(plan.window, plan.pixels)
        self.parts = -(-self.shape[-2] // plan.pixels)

    def emit(self) -> None:
        """The grid."""
        plan = self.plan
        box = [*self.shape[:-2], self.parts, self.shape[-1] // plan.lanes]
        count = math.prod(box)
        self.data, self.weights = flat_view(self.definition.data), flat_view(self.definition.weights)
        with grid((-(-count // plan.block),), plan.block) as ((block,), thread):
            number = block * plan.block + thread
            with only_if([number < count] if count % plan.block else []):
                *self.outer, part, vector = unflatten(number, box)
                self.first, self.channel = part * plan.pixels, vector * plan.lanes
                self.sums = private(plan.pixels * plan.lanes, self.definition.accumulator)
                self.line = private(self.columns * plan.lanes, str(self.definition.data.ty.dtype))
                with T.unroll(0, plan.pixels * plan.lanes) as i:
                    self.sums[i] = const(0, self.definition.accumulator)
                with each(self.window.kernel[:-1]) as taps:
                    self._add_line(taps)
                self._store()

    def _add_line(self, taps: Sequence[Expr]) -> None:
        """Add the products of one line of the kernel."""
        plan, last, total = self.plan, self.window.rank - 1, self.definition.accumulator
        lanes, stride, dilation = plan.lanes, self.window.strides[last], self.window.dilations[last]
        spatial = self.window.along(range(last)).position(self.outer[1:], taps)
        checks = [check for axis, at in enumerate(spatial) for check in self._bounds(axis, at)]
        with T.unroll(0, self.columns) as column:
            self._read(spatial, column, checks)
        weights = private(lanes, str(self.definition.weights.ty.dtype))
        with T.unroll(0, self.window.kernel[last]) as tap:
            at = flatten((*taps, tap), self.window.kernel) * self.shape[-1] + self.channel
            weights[span(0, lanes)] = self.weights[span(at, lanes)]
            with T.unroll(0, plan.pixels) as pixel, T.unroll(0, lanes) as lane:
                value = cast(self.line[(pixel * stride + tap * dilation) * lanes + lane], total)
                place = pixel * lanes + lane
                self.sums[place] = self.sums[place] + value * cast(weights[lane], total)

    def _read(self, spatial: Sequence[Expr], column: Expr, checks: Sequence[Expr]) -> None:
        """One element of the line for each lane, or what lies outside."""
        lanes, axis = self.plan.lanes, self.window.rank - 1
        at = self.first * self.window.strides[axis] + column - self.window.pads[axis]
        place = flatten((self.outer[0], *spatial, at, self.channel), self.extents)

        def read() -> None:
            self.line[span(column * lanes, lanes)] = self.data[span(place, lanes)]

        def fill() -> None:
            with T.unroll(0, lanes) as lane:
                self.line[column * lanes + lane] = const(self.plan.pad, str(self.line.dtype))

        choose([*checks, *self._bounds(axis, at)], read, fill)

    def _bounds(self, axis: int, at: Expr) -> list[Expr]:
        extent, outputs = self.extents[1:-1][axis], self.shape[1:-1][axis]
        if axis == self.window.rank - 1:
            outputs = self.parts * self.plan.pixels
        low = [at >= 0] if self.window.pads[axis] else []
        return [*low, at < extent] if self.window.highest(axis, outputs) >= extent else low

    def _store(self) -> None:
        plan, result = self.plan, T.buffer_proxy(self.definition.result)
        with T.unroll(0, plan.pixels) as pixel:
            at = self.first + pixel
            inside = [at < self.shape[-2]] if self.shape[-2] % plan.pixels else []
            with only_if(inside), lane_loop(plan.lanes) as lane:
                index = (*self.outer, at, self.channel + lane)
                result[index] = self.definition.epilogue(index, self.sums[pixel * plan.lanes + lane])
