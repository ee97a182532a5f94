"""The sliding window of convolutions and pools: kernel, stride, dilation, padding, upscaling."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompile.backends.ethos_u.emulator.layout import load
from edgecompile.backends.ethos_u.emulator.machine import Machine
from edgecompile.backends.ethos_u.emulator.memory import Array
from edgecompile.backends.ethos_u.emulator.state import Registers

_UPSCALES = {0: "none", 1: "nearest", 2: "zeros"}


@dataclass(frozen=True)
class Window:
    """Pairs are (y, x); `pads` are (before, after) of each."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    upscale: str
    is_part_kernel: bool

    @property
    def is_padded(self) -> bool:
        """Whether any element of padding can be in the window."""
        return any(sum(pads) for pads in self.pads)

    def input_size(self, output: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what the outputs are computed from, before upscaling.

        The registers do not hold them: they follow from the size of the output.
        """
        factor = 1 if self.upscale == "none" else 2
        height, width = (
            -(-((count - 1) * stride + (kernel - 1) * dilation + 1 - sum(pads)) // factor)
            for count, stride, kernel, dilation, pads in zip(
                output, self.stride, self.kernel, self.dilation, self.pads, strict=True
            )
        )
        return height, width

    def taps(self, padded: Array, output: tuple[int, int]) -> list[Array]:
        """For each kernel element, row by row, its input [height, width, depth] of each output."""
        (dy, dx), (sy, sx), (height, width) = self.dilation, self.stride, output
        return [
            padded[y * dy : y * dy + sy * (height - 1) + 1 : sy, x * dx : x * dx + sx * (width - 1) + 1 : sx]
            for y in range(self.kernel[0])
            for x in range(self.kernel[1])
        ]


def window_of(registers: Registers) -> Window:
    """The window that the registers describe."""
    field = registers.field
    dilation = 1 + field("KERNEL_STRIDE", 4, 1), 1 + field("KERNEL_STRIDE", 3, 1)
    stride_y = 1 + field("KERNEL_STRIDE", 1, 1) + 2 * field("KERNEL_STRIDE", 9, 1)
    stride_x = 1 + field("KERNEL_STRIDE", 0, 1) + 2 * field("KERNEL_STRIDE", 6, 1)
    pads = [registers[f"IFM_PAD_{side}"] for side in ("TOP", "BOTTOM", "LEFT", "RIGHT")]
    height, width = registers["KERNEL_HEIGHT_M1"], registers["KERNEL_WIDTH_M1"]
    return Window(
        (height // dilation[0] + 1, width // dilation[1] + 1),
        (stride_y, stride_x),
        dilation,
        ((pads[0], pads[1]), (pads[2], pads[3])),
        registers.choice("IFM_UPSCALE", 0, 2, _UPSCALES),
        bool(field("KERNEL_STRIDE", 2, 1)),
    )


def windowed_input(machine: Machine, window: Window, output: tuple[int, int], filler: int = 0) -> Array:
    """The input without its zero point, upscaled and padded with `filler`, int32 [height, width, depth]."""
    registers = machine.registers
    height, width = window.input_size(output)
    depth = registers["IFM_DEPTH_M1"] + 1
    stored = load(machine.memory, machine.feature_map("IFM", (height, width, depth)))
    values = stored.astype(np.int32) - registers.zero_point("IFM")
    return _padded(_upscaled(values, window.upscale), window, output, filler)


def _upscaled(values: Array, upscale: str) -> Array:
    if upscale == "none":
        return values
    if upscale == "nearest":
        return values.repeat(2, axis=0).repeat(2, axis=1)
    height, width, depth = values.shape
    spread = np.zeros((2 * height, 2 * width, depth), values.dtype)
    spread[::2, ::2] = values
    return spread


def _padded(values: Array, window: Window, output: tuple[int, int], filler: int) -> Array:
    """Exactly as large as the windows need it: upscaling may have made one row or column too many."""
    sizes = [
        (count - 1) * stride + (kernel - 1) * dilation + 1
        for count, stride, kernel, dilation in zip(
            output, window.stride, window.kernel, window.dilation, strict=True
        )
    ]
    (top, bottom), (left, right) = window.pads
    if not window.is_padded and values.shape[:2] == tuple(sizes):
        return values
    padded = np.full((*sizes, values.shape[2]), filler, values.dtype)
    inside = values[: sizes[0] - top - bottom, : sizes[1] - left - right]
    padded[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return padded
