"""Pooling of regions of interest, and max unpooling: loops whose bounds or targets are data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, element_type, shape_of, unflatten
from edgecompile.kernels.loops import Buffer, each, each_alone, local, nest
from edgecompile.kernels.math import (
    Expr,
    at_least,
    at_most,
    cast,
    ceil,
    const,
    floor,
    select,
    truncated,
)

_TOTAL = "float32"


@dataclass(frozen=True)
class RoiAlignment:
    """Attributes of RoiAlign; `ratio` 0 chooses the number of samples by the region's size."""

    maximum: bool
    ratio: int
    scale: float
    half_pixel: bool


def _number(value: float) -> Expr:
    return const(value, _TOTAL)


def _scalar() -> Buffer:
    return local(1, _TOTAL)


def roi_align(
    data: Tensor, regions: Tensor, batches: Tensor, alignment: RoiAlignment, shape: Sequence[int]
) -> Tensor:
    """Mean (or maximum) of bilinear samples in every bin of every region [R, 4] = x1, y1, x2, y2."""
    count, height, width = shape_of(data)[0], *shape_of(data)[2:]
    dtype = element_type(data)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, corners, owners = reads
        axes = [_RoiAxis(height, int(shape[2]), alignment), _RoiAxis(width, int(shape[3]), alignment)]
        result, sample = _scalar(), _scalar()
        with T.serial(0, int(shape[0])) as region:
            owner = tirx.max(tirx.min(cast(owners[region], "int32"), count - 1), 0)
            for axis, first in zip(axes, (1, 0), strict=True):
                axis.open(cast(corners[region, first], _TOTAL), cast(corners[region, first + 2], _TOTAL))
            with each(shape[1:]) as (channel, *cell):
                result[0] = _number(0.0)
                with T.serial(0, axes[0].samples[0]) as row:
                    axes[0].sample(cell[0], row)
                    with T.serial(0, axes[1].samples[0]) as column:
                        axes[1].sample(cell[1], column)
                        terms = [
                            _corner(axes, y, x) * cast(source[_position(owner, channel, axes, y, x)], _TOTAL)
                            for y in (0, 1)
                            for x in (0, 1)
                        ]
                        if alignment.maximum:
                            sample[0] = tirx.max(tirx.max(terms[0], terms[1]), tirx.max(terms[2], terms[3]))
                            first_sample = tirx.all(row == 0, column == 0)
                            result[0] = select(first_sample, sample[0], tirx.max(result[0], sample[0]))
                        else:
                            result[0] = result[0] + (terms[0] + terms[1] + terms[2] + terms[3])
                if not alignment.maximum:
                    number = cast(tirx.max(axes[0].samples[0] * axes[1].samples[0], 1), _TOTAL)
                    result[0] = result[0] / number
                writes[0][(region, channel, *cell)] = cast(result[0], dtype)

    return nest("roi_align", [data, regions, batches], [(tuple(shape), dtype)], body)[0]


class _RoiAxis:
    """Height or width of a region: its bins, their samples, and the two elements around a sample."""

    def __init__(self, extent: int, bins: int, alignment: RoiAlignment) -> None:
        self.extent, self.bins, self.alignment = extent, bins, alignment
        self.start, self.size = _scalar(), _scalar()
        self.samples, self.positions = local(1, "int32"), local(2, "int32")
        self.at, self.inside, self.weights = _scalar(), _scalar(), local(2, _TOTAL)

    def open(self, first: Expr, last: Expr) -> None:
        """Begin a region from coordinate `first` to `last`."""
        shift = _number(0.5 if self.alignment.half_pixel else 0.0)
        self.start[0] = first * _number(self.alignment.scale) - shift
        self.size[0] = last * _number(self.alignment.scale) - shift - self.start[0]
        if not self.alignment.half_pixel:
            self.size[0] = at_least(self.size[0], _number(1.0))
        self.size[0] = self.size[0] / _number(float(self.bins))
        if self.alignment.ratio > 0:
            self.samples[0] = const(self.alignment.ratio, "int32")
        else:
            self.samples[0] = truncated(ceil(self.size[0]), "int32")

    def sample(self, cell: Expr, index: Expr) -> None:
        """Locate sample `index` of bin `cell`; beyond one element outside of the image all weights are 0."""
        at, last = self.at, self.extent - 1
        step = (cast(index, _TOTAL) + _number(0.5)) * self.size[0] / cast(self.samples[0], _TOTAL)
        at[0] = self.start[0] + cast(cell, _TOTAL) * self.size[0] + step
        inside = tirx.all(at[0] >= _number(-1.0), at[0] <= _number(float(self.extent)))
        self.inside[0] = select(inside, _number(1.0), _number(0.0))
        at[0] = at_most(at_least(at[0], _number(0.0)), _number(float(last)))
        self.positions[0] = tirx.min(truncated(at[0], "int32"), last)
        self.positions[1] = tirx.min(self.positions[0] + 1, last)
        fraction = at[0] - cast(self.positions[0], _TOTAL)
        self.weights[0] = self.inside[0] * (_number(1.0) - fraction)
        self.weights[1] = self.inside[0] * fraction


def _corner(axes: Sequence[_RoiAxis], y: int, x: int) -> Expr:
    return axes[0].weights[y] * axes[1].weights[x]


def _position(owner: Expr, channel: Expr, axes: Sequence[_RoiAxis], y: int, x: int) -> tuple[Expr, ...]:
    return owner, channel, axes[0].positions[y], axes[1].positions[x]


def max_roi_pool(data: Tensor, regions: Tensor, scale: float, shape: Sequence[int]) -> Tensor:
    """The maximum in every bin of every region [R, 5] = image, x1, y1, x2, y2; 0 for an empty bin."""
    count, height, width = shape_of(data)[0], *shape_of(data)[2:]
    dtype = element_type(data)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, corners = reads
        result, image = local(1, dtype), local(1, "int32")
        rows, columns = _PoolAxis(height, int(shape[2]), scale), _PoolAxis(width, int(shape[3]), scale)
        with each(shape) as (region, channel, row, column):
            image[0] = tirx.max(tirx.min(truncated(corners[region, 0], "int32"), count - 1), 0)
            rows.open(cast(corners[region, 2], _TOTAL), cast(corners[region, 4], _TOTAL), row)
            columns.open(cast(corners[region, 1], _TOTAL), cast(corners[region, 3], _TOTAL), column)
            start = source[image[0], channel, rows.inside(), columns.inside()]
            empty = tirx.any(rows.count() == 0, columns.count() == 0)
            result[0] = tirx.if_then_else(empty, const(0, dtype), start)
            with T.serial(0, rows.count()) as y, T.serial(0, columns.count()) as x:
                value = source[image[0], channel, rows.first[0] + y, columns.first[0] + x]
                result[0] = tirx.max(result[0], value)
            writes[0][region, channel, row, column] = result[0]

    return nest("max_roi_pool", [data, regions], [(tuple(shape), dtype)], body)[0]


class _PoolAxis:
    """Height or width of a region of MaxRoiPool: the elements from `first` up to `end` belong to a bin."""

    def __init__(self, extent: int, bins: int, scale: float) -> None:
        self.extent, self.bins, self.scale = extent, bins, scale
        self.start, self.first, self.end = local(1, "int32"), local(1, "int32"), local(1, "int32")
        self.size = _scalar()

    def open(self, low: Expr, high: Expr, cell: Expr) -> None:
        """Compute the elements of bin `cell` of a region from coordinate `low` to `high`."""
        self.start[0] = _rounded(low * _number(self.scale))
        whole = tirx.max(_rounded(high * _number(self.scale)) - self.start[0] + 1, 1)
        self.size[0] = cast(whole, _TOTAL) / _number(float(self.bins))
        self.first[0] = self._edge(floor(cast(cell, _TOTAL) * self.size[0]))
        self.end[0] = self._edge(ceil(cast(cell + 1, _TOTAL) * self.size[0]))

    def count(self) -> Expr:
        """How many elements the bin has."""
        return tirx.max(self.end[0] - self.first[0], 0)

    def inside(self) -> Expr:
        """The first element, or the last of the image for a bin behind it."""
        return tirx.min(self.first[0], self.extent - 1)

    def _edge(self, offset: Expr) -> Expr:
        return tirx.max(tirx.min(truncated(offset, "int32") + self.start[0], self.extent), 0)


def _rounded(value: Expr) -> Expr:
    """To the nearest integer, halves away from zero."""
    half = select(value < _number(0.0), _number(-0.5), _number(0.5))
    return truncated(value + half, "int32")


def max_unpool(data: Tensor, indices: Tensor, natural: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Zeros of `shape`, with the elements at their `indices` into a tensor of extents `natural`."""
    dtype, source_shape = element_type(data), shape_of(data)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        with each_alone(shape) as index:
            writes[0][index] = const(0, dtype)
        with each(source_shape) as index:
            target = unflatten(cast(reads[1][index], "int32"), natural)
            inside = tirx.all(
                reads[1][index] >= 0,
                reads[1][index] < math.prod(natural),
                *[at < extent for at, extent in zip(target, shape, strict=True)],
            )
            with T.If(inside), T.Then():
                writes[0][tuple(target)] = reads[0][index]

    return nest("max_unpool", [data, indices], [(tuple(shape), dtype)], body)[0]
