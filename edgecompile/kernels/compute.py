"""Geometry and small helpers that the compute definitions share.

A compute definition is a pure function from te tensors and numbers to te tensors. All extents are Python
ints; index arithmetic is int32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from tvm import te, tirx

from edgecompile.kernels.math import Expr, cast

Tensor: TypeAlias = te.Tensor
# Reads an activation at (batch, spatial position, channel), whatever its memory layout is.
Reader = Callable[[Expr, Sequence[Expr], Expr], Expr]


@dataclass(frozen=True)
class Window:
    """A sliding window over the spatial axes of an activation: one entry an axis, in elements.

    `pads` are at the beginning, `ends` at the end; a window may reach beyond the padding at the end
    (ceil_mode).
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    ends: tuple[int, ...]

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @staticmethod
    def trivial(rank: int) -> Window:
        """The window of one element, without padding."""
        ones, zeros = (1,) * rank, (0,) * rank
        return Window(ones, ones, ones, zeros, zeros)

    def along(self, axes: Sequence[int]) -> Window:
        """The window along some of its axes."""
        return Window(*(tuple(field[axis] for axis in axes) for field in self._fields()))

    def join(self, other: Window) -> Window:
        """The window over this one's axes, then the other's."""
        return Window(*(a + b for a, b in zip(self._fields(), other._fields(), strict=True)))

    def _fields(self) -> tuple[tuple[int, ...], ...]:
        return self.kernel, self.strides, self.dilations, self.pads, self.ends

    def position(self, output: Sequence[Expr], tap: Sequence[Expr]) -> list[Expr]:
        """Input coordinates that kernel element `tap` reads for `output`; may lie in the padding."""
        return [
            o * stride + k * dilation - pad
            for o, k, stride, dilation, pad in zip(
                output, tap, self.strides, self.dilations, self.pads, strict=True
            )
        ]

    def lowest(self, axis: int) -> int:
        """The smallest coordinate that is read along `axis`."""
        return -self.pads[axis]

    def highest(self, axis: int, output_extent: int) -> int:
        """The largest coordinate that is read along `axis`."""
        reach = (self.kernel[axis] - 1) * self.dilations[axis]
        return (output_extent - 1) * self.strides[axis] + reach - self.pads[axis]


@dataclass(frozen=True)
class Layout:
    """Where the channel axis is: 1 (NCHW) or last (NHWC)."""

    channels_last: bool

    def split(self, index: Sequence[Expr]) -> tuple[Expr, tuple[Expr, ...], Expr]:
        """(batch, spatial, channel) of a full index or shape."""
        if self.channels_last:
            return index[0], tuple(index[1:-1]), index[-1]
        return index[0], tuple(index[2:]), index[1]

    def join(self, batch: Expr, spatial: Sequence[Expr], channel: Expr) -> tuple[Expr, ...]:
        """The full index of an element, in memory order."""
        if self.channels_last:
            return (batch, *spatial, channel)
        return (batch, channel, *spatial)


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The static shape of a te tensor."""
    return tuple(int(extent) for extent in tensor.shape)


def accumulator(dtype: str) -> str:
    """The type to sum products of `dtype` in: half precision accumulates in float32."""
    return "float32" if dtype == "float16" else dtype


def element_type(tensor: Tensor) -> str:
    """The element type of a te tensor, by its numpy name."""
    return str(tensor.dtype)


def cast_tensor(tensor: Tensor, dtype: str) -> Tensor:
    """`tensor` as `dtype`; the tensor itself when it already is."""
    if element_type(tensor) == dtype:
        return tensor
    return te.compute(tensor.shape, lambda *i: cast(tensor(*i), dtype), name="cast")


def broadcast_index(index: Sequence[Expr], extents: Sequence[int]) -> list[Expr]:
    """The index into an operand of `extents` that is broadcast, right-aligned, to the axes of `index`."""
    own = index[len(index) - len(extents) :]
    return [0 if extent == 1 else at for at, extent in zip(own, extents, strict=True)]


def lowest_value(dtype: str) -> Expr:
    """The identity of max: minus infinity for floats."""
    if dtype.startswith("float"):
        return tirx.const(-math.inf, dtype)
    return tirx.const(int(np.iinfo(dtype).min), dtype)


def padded_reader(
    data: Tensor, layout: Layout, window: Window, output_extents: Sequence[int], fill: Expr
) -> Reader:
    """Read `data`, or `fill` outside of it. Only the borders that the window can cross are checked."""
    _, extents, _ = layout.split(shape_of(data))
    below = [window.lowest(axis) < 0 for axis in range(window.rank)]
    above = [window.highest(a, output_extents[a]) >= extents[a] for a in range(window.rank)]

    def read(batch: Expr, spatial: Sequence[Expr], channel: Expr) -> Expr:
        inside = [at >= 0 for at, check in zip(spatial, below, strict=True) if check]
        inside += [at < extent for at, extent, c in zip(spatial, extents, above, strict=True) if c]
        value = data(*layout.join(batch, spatial, channel))
        return tirx.if_then_else(tirx.all(*inside), value, fill) if inside else value

    return read


def reduce_axes(extents: Sequence[int], prefix: str) -> list[Any]:
    """One reduction axis for each extent."""
    return [te.reduce_axis((0, extent), f"{prefix}{i}") for i, extent in enumerate(extents)]


def add_bias(result: Tensor, bias: Tensor | None, layout: Layout, dtype: str) -> Tensor:
    """`result` plus one value a channel, as `dtype`."""
    if bias is None:
        return cast_tensor(result, dtype)

    def added(*index: Expr) -> Expr:
        return cast(result(*index) + cast(bias(layout.split(index)[2]), element_type(result)), dtype)

    return te.compute(result.shape, added, name="bias")


def flatten(index: Sequence[Expr], extents: Sequence[int]) -> Expr:
    """Row-major position of `index` in a box of `extents`."""
    flat = index[0]
    for at, extent in zip(index[1:], extents[1:], strict=True):
        flat = flat * extent + at
    return flat


def unflatten(flat: Expr, extents: Sequence[int]) -> list[Expr]:
    """The index at row-major position `flat`."""
    index: list[Expr] = []
    for extent in reversed(extents[1:]):
        index.insert(0, tirx.indexmod(flat, extent))
        flat = tirx.indexdiv(flat, extent)
    return [flat, *index]
