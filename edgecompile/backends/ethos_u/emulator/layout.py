"""Where the elements of a feature map are: tiles, and the formats NHWC and NHCWB16.

A feature map of height x width x depth is up to four tiles with an address each: 0 is what has y < HEIGHT0
and x < WIDTH0, 1 is right of it (divided at HEIGHT1), 2 below, 3 both. In NHWC the channels of one position
are neighbours; in NHCWB16 those of one group of 16 ("brick") are, and STRIDE_C leads to the next group.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecompile.backends.ethos_u.emulator.memory import Array, Memory, Span
from edgecompile.backends.ethos_u.emulator.state import Registers

_BRICK = 16
_FORMATS = {0: "NHWC", 1: "NHCWB16"}


@dataclass(frozen=True)
class FeatureMap:
    """One feature map (IFM, IFM2, OFM) as its registers describe it; `strides` in bytes: y, x, c."""

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    region: int
    is_bricks: bool
    bases: tuple[int, ...]
    heights: tuple[int, int]
    width: int
    strides: tuple[int, int, int]

    def spans(self) -> Iterator[tuple[tuple[slice, slice, slice], Span]]:
        """Parts of the feature map, as slices of it, and where each is: a span of y, x, group, channel."""
        size, depth = self.dtype.itemsize, self.shape[2]
        y_stride, x_stride, c_stride = self.strides
        whole = depth // _BRICK * _BRICK if self.is_bricks else 0
        for number, rows, columns in self._tiles():
            counts = rows.stop - rows.start, columns.stop - columns.start
            source, base = f"NPU_SET_{self.name}_BASE{number}", self.bases[number]
            if whole:
                shape, strides = (*counts, whole // _BRICK, _BRICK), (y_stride, _BRICK * size, c_stride, size)
                span = Span(source, self.region, base, self.dtype, shape, strides)
                yield (rows, columns, slice(0, whole)), span
            if depth > whole:
                base += whole // _BRICK * c_stride
                strides = (y_stride, _BRICK * size if self.is_bricks else x_stride, 0, size)
                span = Span(source, self.region, base, self.dtype, (*counts, 1, depth - whole), strides)
                yield (rows, columns, slice(whole, depth)), span

    def _tiles(self) -> Iterator[tuple[int, slice, slice]]:
        height, width, _ = self.shape
        for right, columns in enumerate(_cut(width, self.width)):
            for below, rows in enumerate(_cut(height, self.heights[right])):
                if rows.stop > rows.start and columns.stop > columns.start:
                    yield right + 2 * below, rows, columns


def _cut(length: int, at: int) -> tuple[slice, slice]:
    at = min(length, at)
    return slice(0, at), slice(at, length)


def feature_map(
    registers: Registers, name: str, shape: tuple[int, int, int], address_bits: int
) -> FeatureMap:
    """The feature map `name` of that height, width and depth, from its registers."""
    bases = tuple(registers.field(f"{name}_BASE{tile}", 0, address_bits) for tile in range(4))
    y, x, c = (registers.signed(f"{name}_STRIDE_{axis}", address_bits) for axis in "YXC")
    return FeatureMap(
        name,
        shape,
        registers.dtype(name),
        registers[f"{name}_REGION"],
        registers.choice(f"{name}_PRECISION", 6, 2, _FORMATS) == "NHCWB16",
        bases,
        (registers[f"{name}_HEIGHT0_M1"] + 1, registers[f"{name}_HEIGHT1_M1"] + 1),
        registers[f"{name}_WIDTH0_M1"] + 1,
        (y, x, c),
    )


def load(memory: Memory, fm: FeatureMap) -> Array:
    """The elements [height, width, depth] as they are stored."""
    values = np.empty(fm.shape, fm.dtype)
    for part, span in fm.spans():
        values[part] = memory.read(span).reshape(*span.shape[:2], -1)
    return values


def store(memory: Memory, fm: FeatureMap, values: Array) -> None:
    """Write the elements [height, width, depth]."""
    for part, span in fm.spans():
        memory.write(span, values[part].reshape(span.shape))
