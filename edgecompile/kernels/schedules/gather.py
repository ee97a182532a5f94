"""Gather one row of an implicit matrix product: the elements under the window of one output position."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from edgecompile.kernels.compute import Window, flatten
from edgecompile.kernels.compute_gemm import GemmPlan
from edgecompile.kernels.loops import choose, copy_run, each, fill_run, flat_view
from edgecompile.kernels.math import Expr


def gather_row(
    panel: Any, start: Expr, data: Any, position: Sequence[Expr], plan: GemmPlan, group: Expr
) -> None:
    """panel[start:] = the window at `position` (batch, then spatial), taps outside, channels inside.

    Elements that pad a row to a whole number of the micro-kernel's groups are left as they are.
    """
    if plan.window is None:
        extents = [int(extent) for extent in data.ty.shape]
        copy_run(panel, start, flat_view(data), flatten((*position, 0), extents), plan.k)
        return
    _Gather(panel, start, data, position, plan.window, plan, group).emit()


class _Gather:
    def __init__(
        self,
        panel: Any,
        start: Expr,
        data: Any,
        position: Sequence[Expr],
        window: Window,
        plan: GemmPlan,
        group: Expr,
    ) -> None:
        self.panel, self.start, self.window, self.position = panel, start, window, position
        self.shape = [int(extent) for extent in data.ty.shape]
        self.data, self.pad = flat_view(data), plan.pad
        self.channels = self.shape[-1] // plan.groups
        self.first_channel = group * self.channels

    def emit(self) -> None:
        """Line by line: all taps of the innermost spatial axis for each tap of the outer ones."""
        window = self.window
        origin = window.position(self.position[1:], [0] * window.rank)
        with each(window.kernel[:-1]) as taps:
            outer = [o + t * d for o, t, d in zip(origin, taps, window.dilations, strict=False)]
            number: Expr = 0
            for tap, extent in zip(taps, window.kernel, strict=False):
                number = number * extent + tap
            self._line(outer, origin[-1], number * (window.kernel[-1] * self.channels))

    def _line(self, outer: list[Expr], x: Expr, to: Expr) -> None:
        window, width = self.window, self.window.kernel[-1]
        reach = (width - 1) * window.dilations[-1]
        joined = self.channels == self.shape[-1] and window.dilations[-1] == 1

        def taps() -> None:
            for tap in range(width):
                at, place = x + tap * window.dilations[-1], to + tap * self.channels
                copy, fill = partial(self._copy, [*outer, at], place), partial(self._fill, place)
                choose(self._bounds(-1, at, at), partial(copy, self.channels), partial(fill, self.channels))

        def line() -> None:
            if joined:
                whole = partial(self._copy, [*outer, x], to, width * self.channels)
                choose(self._bounds(-1, x, x + reach), whole, taps)
            else:
                taps()

        inside = [check for axis, at in enumerate(outer) for check in self._bounds(axis, at, at)]
        choose(inside, line, lambda: self._fill(to, width * self.channels))

    def _bounds(self, axis: int, low: Expr, high: Expr) -> list[Expr]:
        """What must hold for low ... high along spatial `axis` to be inside; only what can fail."""
        checks = [low >= 0] if self.window.pads[axis] else []
        extent = self.shape[1:-1][axis]
        return [*checks, high < extent] if self.window.ends[axis] else checks

    def _copy(self, spatial: Sequence[Expr], to: Expr, count: int) -> None:
        source = flatten((self.position[0], *spatial, self.first_channel), self.shape)
        copy_run(self.panel, self.start + to, self.data, source, count)

    def _fill(self, to: Expr, count: int) -> None:
        fill_run(self.panel, self.start + to, count, self.pad)
