"""The C structures of kernels.h as vectors of int32, and what all instruction sets say about a layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecompile.core.integer import ROUNDINGS, Rounding

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Factors:
    """Bias int32 [O] with the input's zero point folded in, and the real multiplier of each channel.

    `multiplier` is int32 with `shift`, or float32 without (rounding "float").
    """

    bias: Array
    multiplier: Array
    shift: Array | None


@dataclass(frozen=True)
class Output:
    """How a sum becomes an output: `lo` and `hi` clamp it, in output integers (int8)."""

    rounding: Rounding
    y_zero: int
    lo: int = -128
    hi: int = 127

    def words(self, fast: bool) -> list[int]:
        """`edgecompile_output`."""
        return [ROUNDINGS.index(self.rounding), int(fast), self.y_zero, self.lo, self.hi]


@dataclass(frozen=True)
class Geometry:
    """A two-dimensional window over an NHWC tensor; pairs are (y, x). Shapes are [N, H, W, C]."""

    x_shape: tuple[int, int, int, int]
    y_shape: tuple[int, int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    pads: tuple[int, int] = (0, 0)
    groups: int = 1
    x_zero: int = 0

    @property
    def stays_inside(self) -> bool:
        """Whether no window reaches into padding."""
        reach = [
            (self.y_shape[1 + axis] - 1) * self.strides[axis] + (self.kernel[axis] - 1) * self.dilations[axis]
            for axis in (0, 1)
        ]
        return self.pads == (0, 0) and reach[0] < self.x_shape[1] and reach[1] < self.x_shape[2]

    def words(self, output: Output, fast: bool) -> Array:
        """`edgecompile_conv_geometry`."""
        window = (*self.kernel, *self.strides, *self.dilations, *self.pads)
        shapes = (*self.x_shape, *self.y_shape[1:])
        return _int32([*shapes, *window, self.groups, self.x_zero, *output.words(fast)])


@dataclass(frozen=True)
class Packed:
    """Constants of a layer as one instruction set wants them: `w` and `q` of a kernel.

    `fast` says that `q` is in the form of the same name.
    """

    weights: Array
    parameters: Array
    fast: bool


def gemm_words(rows: int, depth: int, columns: int, output: Output, fast: bool) -> Array:
    """`edgecompile_gemm_geometry`."""
    return _int32([rows, depth, columns, *output.words(fast)])


def add_words(
    count: int, zeros: tuple[int, int], multiplier: Array, shift: Array | None, output: Output
) -> Array:
    """`edgecompile_add_geometry`; `multiplier` and `shift` have entries for a, for b and for the sum."""
    shifts = [0, 0, 0] if shift is None else [int(s) for s in shift]
    fast = shift is not None and all(low <= s <= 22 for low, s in zip((0, 0, 2), shifts, strict=True))
    factors = (multiplier.view(np.int32) if shift is None else multiplier).tolist()
    a, b = ([zeros[i], factors[i], shifts[i]] for i in range(2))
    return _int32([count, *a, *b, factors[2], shifts[2], *output.words(fast)])


def _int32(values: Sequence[int]) -> Array:
    return np.array(values, np.int64).astype(np.int32)
