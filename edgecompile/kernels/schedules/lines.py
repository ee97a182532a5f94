"""Output lines of a convolution whose windows are read from lines of the input; no window is gathered.

A window of a channels-last input is one run of memory for each of its lines: neighbouring taps of the last
spatial axis and their channels follow each other. Padding is the only reason to copy, and then each input
line is copied once for a block of output lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Window
from edgecompile.kernels.loops import choose, copy_run, fill_run, flat_view, local
from edgecompile.kernels.math import Expr

# (buffer, where the windows of an output line begin in it), by the line's number in its block.
LinePlace = Callable[[Expr], tuple[Any, Expr]]


@dataclass(frozen=True)
class InputLines:
    """Input [N, H, W, C] (H = 1 where only one spatial axis is real) as an output line sees it.

    `row_stride` elements lie between the windows of neighbouring outputs; `run` and `jumps` are those of
    Operands, within a window.
    """

    data: Any
    window: Window
    extents: tuple[int, int, int]
    outputs: tuple[int, int]
    group_offset: Expr
    run: int
    pad: int

    @staticmethod
    def of(
        data: Any, shape: list[int], full_window: Window, pad: int, groups: int = 1, group: Expr = 0
    ) -> InputLines:
        """For a result of `shape` [N, *S, O] of which at most two spatial axes are real (see `real_axes`).

        `group` is which of the `groups` of channels is read.
        """
        _, *spatial, channels = (int(extent) for extent in data.ty.shape)
        axes = real_axes(full_window, spatial)
        window = full_window.along(axes)
        inputs, outputs = [spatial[axis] for axis in axes], [shape[1 + axis] for axis in axes]
        if len(axes) < 2:
            missing = 2 - len(axes)
            window = Window.trivial(missing).join(window)
            inputs, outputs = [1] * missing + inputs, [1] * missing + outputs
        own = channels // groups
        joined = window.dilations[1] == 1 and groups == 1
        run = own * window.kernel[1] if joined else own
        extents = (inputs[0], inputs[1], channels)
        return InputLines(data, window, extents, (outputs[0], outputs[1]), group * own, run, pad)

    @property
    def padded(self) -> bool:
        return any(self.window.pads) or any(self.window.ends)

    @property
    def row_stride(self) -> int:
        return self.window.strides[1] * self.extents[2]

    @property
    def line(self) -> int:
        """Elements between the beginnings of two lines, in place or copied."""
        return self._width * self.extents[2]

    @property
    def jumps(self) -> tuple[tuple[int, int], ...]:
        window, channels = self.window, self.extents[2]
        outer = (window.kernel[0], window.dilations[0] * self.line)
        inner = (window.kernel[1], window.dilations[1] * channels)
        found = (outer,) if self.run > channels or window.kernel[1] == 1 else (outer, inner)
        return tuple(jump for jump in found if jump[0] > 1)

    @property
    def _width(self) -> int:
        """Positions of a line: those of the input, or those that the windows reach in a padded copy."""
        if not self.padded:
            return self.extents[1]
        window = self.window
        return (self.outputs[1] - 1) * window.strides[1] + (window.kernel[1] - 1) * window.dilations[1] + 1

    def in_place(self, first: Expr) -> LinePlace:
        """Places in the input itself, for output lines from `first` (over all images) on."""
        buffer = flat_view(self.data)

        def place(line: Expr) -> tuple[Any, Expr]:
            image, y = self._split(first + line)
            start = (image * self.extents[0] + y * self.window.strides[0]) * self.line
            return buffer, start + self.group_offset

        return place

    def copy(self, first: Expr, count: Expr, most: int) -> LinePlace:
        """Copy, padded, what `count` <= `most` output lines from `first` on read; places in the copy.

        A block may begin in one image and end in the next: lines are then copied for each output line.
        """
        window = self.window
        reach = (window.kernel[0] - 1) * window.dilations[0]
        if self.outputs[0] % most:
            step, height = reach + 1, reach + 1
            panel = local(most * height * self.line, str(self.data.ty.dtype))
            with T.serial(0, count) as line:
                image, y = self._split(first + line)
                self._copy_lines(panel, line * (height * self.line), image, y * window.strides[0], height)
        else:
            step, height = window.strides[0], (most - 1) * window.strides[0] + reach + 1
            panel = local(height * self.line, str(self.data.ty.dtype))
            image, y = self._split(first)
            self._copy_lines(panel, 0, image, y * window.strides[0], height)
        return lambda line: (panel, line * (step * self.line) + self.group_offset)

    @property
    def width(self) -> int:
        """Outputs of a line."""
        return self.outputs[1]

    def _split(self, line: Expr) -> tuple[Expr, Expr]:
        """(image, output line within it)."""
        return tirx.indexdiv(line, self.outputs[0]), tirx.indexmod(line, self.outputs[0])

    def _copy_lines(self, panel: Any, start: Expr, image: Expr, top: Expr, height: int) -> None:
        """Lines top - pad ... of an image to panel[start:]."""
        window, (lines, width, channels) = self.window, self.extents
        buffer = flat_view(self.data)
        left = window.pads[1]
        inside = min(width, self._width - left)
        right = self._width - left - inside
        with T.serial(0, height) as row:
            y = top + row - window.pads[0]
            at = start + row * self.line
            checks = [y >= 0] if window.pads[0] else []
            if window.highest(0, self.outputs[0]) >= lines:
                checks.append(y < lines)

            def copy() -> None:
                fill_run(panel, at, left * channels, self.pad)
                source = (image * lines + y) * (width * channels)
                copy_run(panel, at + left * channels, buffer, source, inside * channels)
                fill_run(panel, at + (left + inside) * channels, right * channels, self.pad)

            choose(checks, copy, lambda: fill_run(panel, at, self.line, self.pad))


def real_axes(window: Window, extents: Sequence[int]) -> list[int]:
    """Spatial axes along which there is more than one input position or any padding."""
    return [
        axis
        for axis, extent in enumerate(extents)
        if extent > 1 or window.kernel[axis] > 1 or window.pads[axis] or window.ends[axis]
    ]
