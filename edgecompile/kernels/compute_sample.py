"""Reading an image at computed, fractional positions: GridSample and DeformConv."""

from __future__ import annotations

import math as pymath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import tirx

from edgecompile.kernels.compute import Tensor, Window, accumulator, element_type, flatten, shape_of
from edgecompile.kernels.loops import Buffer, each, each_alone, local, nest
from edgecompile.kernels.math import (
    Expr,
    at_least,
    at_most,
    cast,
    const,
    floor,
    round_half_even,
    select,
    truncated,
)

_CUBIC_A = -0.75


@dataclass(frozen=True)
class Sampling:
    """How to interpolate (`mode` nearest, linear or cubic) and what lies outside (`padding`)."""

    mode: str
    padding: str
    align_corners: bool

    @property
    def taps(self) -> int:
        """Elements read along one axis."""
        return {"nearest": 1, "linear": 2, "cubic": 4}[self.mode]


class Sampler:
    """Emits the interpolation of one position: first `locate` each axis, then `value` any channel."""

    def __init__(self, extents: Sequence[int], sampling: Sampling, total: str) -> None:
        self.extents, self.sampling, self.total = tuple(extents), sampling, total
        self.at = local(1, total)
        taps = sampling.taps * len(self.extents)
        # -1 stands for an element that is outside and counts as 0.
        self.positions, self.weights = local(taps, "int32"), local(taps, total)
        self.sum = local(1, total)

    def locate(self, axis: int, coordinate: Expr) -> None:
        """Compute the taps along `axis` for a coordinate in elements."""
        extent, sampling, at = self.extents[axis], self.sampling, self.at
        low = 0.0 if sampling.align_corners else -0.5
        high = extent - 1.0 - low
        at[0] = round_half_even(coordinate) if sampling.mode == "nearest" else coordinate
        # A cubic kernel beyond the border still sees elements inside: its taps are moved, not its centre.
        if sampling.padding == "border" and sampling.mode != "cubic":
            inside = tirx.all(at[0] >= self._const(low), at[0] <= self._const(high))
            at[0] = select(inside, at[0], self._clamped(at[0], 0.0, extent - 1.0))
        elif sampling.padding == "reflection":
            self._reflect(low, high)
        # Beyond this all taps are outside anyway, and the conversion to integers is defined.
        at[0] = self._clamped(at[0], -3.0, extent + 2.0)
        first = {"nearest": 0, "linear": 0, "cubic": -1}[sampling.mode]
        base, fraction = local(1, "int32"), local(1, self.total)
        base[0] = truncated(floor(at[0]), "int32")
        fraction[0] = at[0] - cast(base[0], self.total)
        for tap in range(sampling.taps):
            slot = axis * sampling.taps + tap
            self.weights[slot] = self._weight(fraction[0], first + tap)
            self._place(slot, base[0] + first + tap, axis, low, high)

    def value(self, read: Callable[[Sequence[Expr]], Expr]) -> Expr:
        """The interpolated value; `read(position)` loads one element."""
        taps, rank = self.sampling.taps, len(self.extents)
        self.sum[0] = self._const(0.0)
        with each((taps,) * rank) as tap:
            slots = [axis * taps + t for axis, t in enumerate(tap)]
            inside = tirx.all(*[self.positions[slot] >= 0 for slot in slots])
            value = tirx.if_then_else(
                inside, read([self.positions[slot] for slot in slots]), self._const(0.0)
            )
            for slot in slots:
                value = value * self.weights[slot]
            self.sum[0] = self.sum[0] + value
        return self.sum[0]

    def _const(self, value: float) -> Expr:
        return const(value, self.total)

    def _clamped(self, value: Expr, low: float, high: float) -> Expr:
        return at_most(at_least(value, self._const(low)), self._const(high))

    def _weight(self, fraction: Expr, offset: int) -> Expr:
        """Weight of the element `offset` away from the one before the coordinate."""
        if self.sampling.mode == "nearest":
            return self._const(1.0)
        if self.sampling.mode == "linear":
            return fraction if offset else self._const(1.0) - fraction
        a = _CUBIC_A
        # Distance of the tap: fraction + 1, fraction, 1 - fraction, 2 - fraction.
        distance = fraction - self._const(offset) if offset < 1 else self._const(offset) - fraction
        if offset in (0, 1):
            near = distance * self._const(a + 2) - self._const(a + 3)
            return near * distance * distance + self._const(1.0)
        far = (distance - self._const(5.0)) * distance + self._const(8.0)
        return (far * distance - self._const(4.0)) * self._const(a)

    def _place(self, slot: int, position: Expr, axis: int, low: float, high: float) -> None:
        """Store a tap's position, moved into the image as the padding mode says."""
        extent = self.extents[axis]
        inside = tirx.all(position >= 0, position < extent)
        if self.sampling.padding == "zeros":
            self.positions[slot] = select(inside, position, const(-1, "int32"))
            return
        if self.sampling.padding == "reflection":
            self.at[0] = cast(position, self.total)
            self._reflect(low, high)
            position = truncated(self.at[0], "int32")
        self.positions[slot] = tirx.max(tirx.min(position, extent - 1), 0)

    def _reflect(self, low: float, high: float) -> None:
        """Reflect the coordinate at the borders until it lies within."""
        at, span = self.at, high - low
        if span == 0:
            at[0] = self._const(low)
            return
        beyond, turns = local(1, self.total), local(1, self.total)
        beyond[0] = select(at[0] < self._const(low), self._const(low) - at[0], at[0] - self._const(high))
        turns[0] = floor(beyond[0] / self._const(span))
        beyond[0] = beyond[0] - turns[0] * self._const(span)
        odd = turns[0] - floor(turns[0] * self._const(0.5)) * self._const(2.0) > self._const(0.5)
        from_low, from_high = self._const(low) + beyond[0], self._const(high) - beyond[0]
        below = select(odd, from_high, from_low)
        above = select(odd, from_low, from_high)
        outside = select(at[0] < self._const(low), below, above)
        inside = tirx.all(at[0] >= self._const(low), at[0] <= self._const(high))
        at[0] = select(inside, at[0], outside)


def grid_sample(data: Tensor, grid: Tensor, sampling: Sampling) -> Tensor:
    """Sample [N, C, *S] at the positions of `grid` [N, *O, rank], in [-1, 1], innermost axis first."""
    shape, positions, dtype = shape_of(data), shape_of(grid), element_type(data)
    total = accumulator(dtype) if dtype.startswith("float") else "float32"
    extents, rank = shape[2:], len(shape) - 2

    def coordinate(value: Expr, extent: int) -> Expr:
        unit = cast(value, total) + const(1.0, total)
        if sampling.align_corners:
            return unit * const(0.5, total) * const(extent - 1, total)
        return (unit * const(extent, total) - const(1.0, total)) * const(0.5, total)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, where = reads
        with each_alone((shape[0], *positions[1:-1])) as (batch, *output):
            sampler = Sampler(extents, sampling, total)
            for axis in range(rank):
                sampler.locate(axis, coordinate(where[(batch, *output, rank - 1 - axis)], extents[axis]))
            with each((shape[1],)) as (channel,):
                value = sampler.value(lambda p: cast(source[(batch, channel, *p)], total))
                writes[0][(batch, channel, *output)] = (
                    cast(value, dtype) if dtype.startswith("float") else truncated(value, dtype)
                )

    result = (*shape[:2], *positions[1:-1])
    return nest("grid_sample", [data, grid], [(result, dtype)], body)[0]


@dataclass(frozen=True)
class Deformation:
    """Geometry of a deformable convolution: its window and how channels are grouped."""

    window: Window
    groups: int
    offset_groups: int


def deform_conv(
    data: Tensor,
    weights: Tensor,
    offset: Tensor,
    bias: Tensor | None,
    mask: Tensor | None,
    deformation: Deformation,
    shape: Sequence[int],
) -> Tensor:
    """Convolution whose taps are moved by `offset` [N, G*taps*rank, *O] and scaled by `mask`.

    The samples of one output position are collected once, then multiplied with the weights of every output
    channel.
    """
    dtype, total = element_type(data), accumulator(element_type(data))
    extents, channels = shape_of(data)[2:], shape_of(data)[1]
    window, rank = deformation.window, deformation.window.rank
    taps = pymath.prod(window.kernel)
    per_offset, per_group = channels // deformation.offset_groups, channels // deformation.groups
    outputs = shape[1] // deformation.groups
    given = [tensor for tensor in (data, weights, offset, bias, mask) if tensor is not None]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, weight, moved = reads[:3]
        shift = reads[3] if bias is not None else None
        factor = reads[-1] if mask is not None else None
        sampler = Sampler(extents, Sampling("linear", "zeros", True), total)
        samples, sums = local(channels * taps, total), local(1, total)
        with each((shape[0], *shape[2:])) as (batch, *output):
            with each((deformation.offset_groups, *window.kernel)) as (group, *tap):
                flat = flatten(tap, window.kernel)
                start = window.position(output, tap)
                for axis in range(rank):
                    by = moved[(batch, (group * taps + flat) * rank + axis, *output)]
                    sampler.locate(axis, cast(start[axis], total) + cast(by, total))
                with each((per_offset,)) as (member,):
                    channel = group * per_offset + member
                    value = sampler.value(lambda p: cast(source[(batch, channel, *p)], total))
                    if factor is not None:
                        value = value * cast(factor[(batch, group * taps + flat, *output)], total)
                    samples[channel * taps + flat] = value
            with each((deformation.groups, outputs)) as (group, member):
                result = group * outputs + member
                sums[0] = cast(shift[result], total) if shift is not None else const(0.0, total)
                with each((per_group, *window.kernel)) as (inner, *tap):
                    at = (group * per_group + inner) * taps + flatten(tap, window.kernel)
                    sums[0] = sums[0] + samples[at] * cast(weight[(result, inner, *tap)], total)
                writes[0][(batch, result, *output)] = cast(sums[0], dtype)

    return nest("deform_conv", given, [(tuple(shape), dtype)], body)[0]
