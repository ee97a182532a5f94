"""Depthwise convolution as register tiles of neighbouring outputs, with channels as lanes.

for a block of output lines:                  (the loop that threads share)
    copy the input lines that the block reads, if they need padding
    for an output line, for a vector of channels, for a tile of outputs:
        the products of all taps are added up in registers
        the epilogue (bias, activation, requantize) is applied and stored
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Window, unflatten
from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.compute_gemm import rows_of
from edgecompile.kernels.intrinsics.depthwise import DepthwiseKernel, PlainTaps, Taps
from edgecompile.kernels.loops import clear, flat_view, lane_loop, local, span
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.math import Expr
from edgecompile.kernels.schedules.definition import Definition
from edgecompile.kernels.schedules.expressions import with_loops
from edgecompile.kernels.schedules.lines import InputLines, real_axes

# With more taps, the lines of a window are a loop.
_MAX_UNROLLED = 25


def choose_depthwise_plan(
    kernel: DepthwiseKernel,
    machine: Machine,
    shape: Sequence[int],
    extents: Sequence[int],
    element_bytes: int,
    window: Window,
    pad: int = 0,
) -> DepthwisePlan | None:
    """The plan for a result of `shape` from data of `extents`; None for windows that lines do not cover.

    Tiles are as wide as the registers allow, and as equal as possible.
    """
    axes = real_axes(window, extents[1:-1])
    if len(axes) > 2 or min(*window.pads, *window.ends) < 0:
        return None
    width = shape[1 + axes[-1]] if axes else 1
    pixels = -(-width // -(-width // kernel.pixels))
    block = 1
    if len(axes) == 2:
        inner, outer = axes[1], axes[0]
        line = (extents[1 + inner] + window.pads[inner] + window.ends[inner]) * extents[-1] * element_bytes
        reach = (window.kernel[outer] - 1) * window.dilations[outer]
        most = max(1, (machine.l1_bytes // 2 // line - reach) // window.strides[outer])
        lines = shape[1 + outer]
        block = max(count for count in range(1, min(most, lines) + 1) if lines % count == 0)
    return DepthwisePlan(kernel.name, kernel.lanes, pixels, block, window, pad)


def expand_depthwise(
    function: tirx.PrimFunc, definition: Definition, plan: DepthwisePlan, kernel: DepthwiseKernel
) -> tirx.PrimFunc:
    """`function` with its body replaced by the loops of the plan."""
    return with_loops(function, lambda: _Emitter(definition, plan, kernel).emit())


class _Emitter:
    """Emits the loops of one depthwise convolution."""

    def __init__(self, definition: Definition, plan: DepthwisePlan, kernel: DepthwiseKernel) -> None:
        self.definition, self.plan, self.kernel = definition, plan, kernel
        self.shape = [int(extent) for extent in definition.result.ty.shape]
        self.channels = self.shape[-1]
        self.result = T.buffer_proxy(definition.result)
        self.weights = flat_view(definition.weights)
        self.lines = InputLines.of(definition.data, self.shape, plan.window, plan.pad)

    def emit(self) -> None:
        lines, plan = self.lines, self.plan
        count = rows_of(self.shape) // lines.width
        with T.parallel(0, count // plan.block) as block:
            first = block * plan.block
            place = lines.copy(first, plan.block, plan.block) if lines.padded else lines.in_place(first)
            with T.serial(0, plan.block) as line:
                buffer, start = place(line)
                with self._channels() as vectors:
                    for channel, lanes in vectors:
                        self._line(buffer, start, (first + line) * lines.width, channel, lanes)

    @contextmanager
    def _channels(self) -> Iterator[list[tuple[Expr, int]]]:
        """(first channel, lanes) of the vectors that cover all channels; the last one may overlap another."""
        channels, lanes = self.channels, self.plan.lanes
        if channels < lanes:
            pieces = [1 << bit for bit in reversed(range(channels.bit_length())) if channels >> bit & 1]
            yield [(sum(pieces[:i]), piece) for i, piece in enumerate(pieces)]
        else:
            vectors = -(-channels // lanes)
            with T.serial(0, vectors) as vector:
                yield [
                    (
                        tirx.min(vector * lanes, channels - lanes) if channels % lanes else vector * lanes,
                        lanes,
                    )
                ]

    def _line(self, buffer: Any, start: Expr, row: Expr, channel: Expr, lanes: int) -> None:
        """All tiles of an output line, whose first output is number `row` of the result."""
        size, width = self.plan.pixels, self.lines.width
        with T.serial(0, width // size) as tile:
            self._tile(buffer, start, row, tile * size, size, channel, lanes)
        if width % size:
            self._tile(buffer, start, row, width - width % size, width % size, channel, lanes)

    def _tile(
        self, buffer: Any, start: Expr, row: Expr, first: Expr, pixels: int, channel: Expr, lanes: int
    ) -> None:
        accumulator = self.definition.accumulator
        sums = local(pixels * lanes, accumulator)
        clear(sums, pixels * lanes, lanes)
        origin = start + first * self.lines.row_stride + channel

        def x(pixel: int, tap: tuple[Expr, Expr], lane: Expr, count: int) -> Expr:
            return buffer[span(origin + pixel * self.lines.row_stride + tap[0] + lane, count)]

        def w(tap: tuple[Expr, Expr], lane: Expr, count: int) -> Expr:
            return self.weights[span(tap[1] * self.channels + channel + lane, count)]

        tile = Taps(pixels, lanes, accumulator, x, w, sums)
        kernel = self.kernel if lanes == self.kernel.lanes else PlainTaps(lanes, pixels)
        with self._taps() as taps:
            kernel.emit(tile, taps)
        for pixel in range(pixels):
            self._store(row + first + pixel, channel, lanes, sums, pixel * lanes)

    @contextmanager
    def _taps(self) -> Iterator[list[tuple[Expr, Expr]]]:
        """(offset in the input, number) of all taps, or of those of one line in a loop over lines."""
        window, line, channels = self.lines.window, self.lines.line, self.channels
        height, width = window.kernel

        def taps_of(y: Expr) -> list[tuple[Expr, Expr]]:
            below = y * window.dilations[0] * line
            return [(below + x * window.dilations[1] * channels, y * width + x) for x in range(width)]

        if height * width <= _MAX_UNROLLED:
            yield [tap for y in range(height) for tap in taps_of(y)]
        else:
            with T.serial(0, height) as y:
                yield taps_of(y)

    def _store(self, row: Expr, channel: Expr, lanes: int, sums: Any, at: int) -> None:
        position = unflatten(row, self.shape[:-1])
        with lane_loop(lanes) as lane:
            index = (*position, channel + lane)
            self.result[index] = self.definition.epilogue(index, sums[at + lane])
