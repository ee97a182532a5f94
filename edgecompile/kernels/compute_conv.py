"""Convolutions of any rank, as sums over kernel taps and input channels.

Weights are read as (taps, input channel within the group, output channel): `PackedWeights` has exactly this
memory order, so that output channels, the lanes of a channels-last kernel, are contiguous.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te, tirx

from edgecompile.kernels.compute import (
    Layout,
    Tensor,
    Window,
    accumulator,
    element_type,
    flatten,
    padded_reader,
    reduce_axes,
    shape_of,
)
from edgecompile.kernels.math import Expr, cast

# Weight of (taps, input channel within the group, output channel).
WeightReader = Callable[[Sequence[Expr], Expr, Expr], Expr]


def pack_conv_weights(weights: np.ndarray) -> np.ndarray:
    """ONNX conv weights [O, C/G, *K] as [*K, C/G, O]."""
    return np.ascontiguousarray(np.moveaxis(weights, (0, 1), (-1, -2)))


def pack_transposed_weights(weights: np.ndarray, groups: int) -> np.ndarray:
    """ONNX ConvTranspose weights [C, O/G, *K] as [*K, C/G, O]."""
    channels, per_group = weights.shape[:2]
    grouped = weights.reshape(groups, channels // groups, per_group, *weights.shape[2:])
    # [G, C/G, O/G, *K] -> [*K, C/G, G, O/G]
    moved = np.moveaxis(grouped, (1, 0, 2), (-3, -2, -1))
    return np.ascontiguousarray(moved.reshape(*weights.shape[2:], channels // groups, groups * per_group))


def read_packed(weights: Tensor) -> WeightReader:
    """Weights that were packed as [*K, C/G, O] at compile time."""
    return lambda taps, channel, output: weights(*taps, channel, output)


def read_conv(weights: Tensor) -> WeightReader:
    """Run-time weights of Conv, [O, C/G, *K]."""
    return lambda taps, channel, output: weights(output, channel, *taps)


def read_transposed(weights: Tensor, groups: int) -> WeightReader:
    """Run-time weights of ConvTranspose, [C, O/G, *K]."""
    channels, per_group = shape_of(weights)[:2]

    def read(taps: Sequence[Expr], channel: Expr, output: Expr) -> Expr:
        group, within = _divide(output, per_group)
        return weights(group * (channels // groups) + channel, within, *taps)

    return read


def conv(
    data: Tensor, weights: WeightReader, window: Window, groups: int, shape: Sequence[int], layout: Layout
) -> Tensor:
    """Cross-correlation of `data` into an activation of `shape`, both in `layout`.

    A depthwise convolution (one input channel a group) sums over taps only.
    """
    _, extents, channels = layout.split(shape)
    per_group = int(layout.split(shape_of(data))[2]) // groups
    total = accumulator(element_type(data))
    read = padded_reader(data, layout, window, extents, tirx.const(0, element_type(data)))
    taps = reduce_axes(window.kernel, "k")
    depth = [] if per_group == 1 else [te.reduce_axis((0, per_group), "c")]

    def element(*index: Expr) -> Expr:
        batch, position, output = layout.split(index)
        group = _divide(output, int(channels) // groups)[0] if groups > 1 else 0
        within = depth[0] if depth else 0
        value = read(batch, window.position(position, taps), group * per_group + within)
        axes = [*taps, *depth] if layout.channels_last else [*depth, *taps]
        return te.sum(cast(value, total) * cast(weights(taps, within, output), total), axis=axes)

    return te.compute(tuple(shape), element, name="conv" if depth else "depthwise")


def conv_transpose(
    data: Tensor, weights: WeightReader, window: Window, groups: int, shape: Sequence[int], layout: Layout
) -> Tensor:
    """Transposed convolution in gather form: each output sums over the inputs that reach it.

    `window` is the one of the convolution that this is the gradient of. Along each axis, output y is reached
    by input x through tap k when y + pad = x * stride + k * dilation. Without dilation the taps of one
    output are k = (y + pad) mod stride + stride * t, so no multiplication by a zero is left.
    """
    _, _, channels = layout.split(shape)
    _, inputs, depth = layout.split(shape_of(data))
    per_group = int(depth) // groups
    total = accumulator(element_type(data))
    axes = [_TransposedAxis.of(window, axis, int(inputs[axis])) for axis in range(window.rank)]
    steps = [axis.step for axis in axes]
    within = te.reduce_axis((0, per_group), "c")

    def element(*index: Expr) -> Expr:
        batch, position, output = layout.split(index)
        group = _divide(output, int(channels) // groups)[0] if groups > 1 else 0
        taps = [axis.tap(y) for axis, y in zip(axes, position, strict=True)]
        source = [axis.source(y) for axis, y in zip(axes, position, strict=True)]
        reached = [check for axis, y in zip(axes, position, strict=True) for check in axis.checks(y)]
        value = cast(data(*layout.join(batch, source, group * per_group + within)), total)
        product = value * cast(weights(taps, within, output), total)
        if reached:
            product = tirx.if_then_else(tirx.all(*reached), product, tirx.const(0, total))
        return te.sum(product, axis=[*steps, within])

    return te.compute(tuple(shape), element, name="conv_transpose")


def col2im(blocks: Tensor, window: Window, shape: Sequence[int]) -> Tensor:
    """Sum overlapping blocks [N, C * taps, L] into [N, C, *S]: the gather form of the sum over blocks."""
    extents = [int(extent) for extent in shape[2:]]
    counts = [
        (e + p + q - (k - 1) * d - 1) // s + 1
        for e, p, q, k, d, s in zip(
            extents, window.pads, window.ends, window.kernel, window.dilations, window.strides, strict=True
        )
    ]
    taps = reduce_axes(window.kernel, "k")
    dtype = element_type(blocks)

    def element(*index: Expr) -> Expr:
        distance = [
            at + pad - tap * dilation
            for at, pad, tap, dilation in zip(index[2:], window.pads, taps, window.dilations, strict=True)
        ]
        place = [tirx.indexdiv(d, stride) for d, stride in zip(distance, window.strides, strict=True)]
        reached = [
            tirx.all(d >= 0, tirx.indexmod(d, stride) == 0, at < count)
            for d, stride, at, count in zip(distance, window.strides, place, counts, strict=True)
        ]
        row = flatten([index[1], *taps], [int(shape[1]), *window.kernel])
        value = blocks(index[0], row, flatten(place, counts))
        return te.sum(tirx.if_then_else(tirx.all(*reached), value, tirx.const(0, dtype)), axis=taps)

    return te.compute(tuple(shape), element, name="col2im")


@dataclass(frozen=True)
class _TransposedAxis:
    """Which inputs reach an output coordinate along one axis of a transposed convolution."""

    kernel: int
    stride: int
    dilation: int
    pad: int
    extent: int
    step: Any

    @staticmethod
    def of(window: Window, axis: int, extent: int) -> _TransposedAxis:
        kernel, stride, dilation = window.kernel[axis], window.strides[axis], window.dilations[axis]
        steps = -(-kernel // stride) if dilation == 1 else kernel
        step = te.reduce_axis((0, steps), f"k{axis}")
        return _TransposedAxis(kernel, stride, dilation, window.pads[axis], extent, step)

    def tap(self, y: Expr) -> Expr:
        if self.dilation != 1:
            return self.step.var
        return tirx.indexmod(y + self.pad, self.stride) + self.step * self.stride

    def source(self, y: Expr) -> Expr:
        if self.dilation != 1:
            return tirx.indexdiv(y + self.pad - self.step * self.dilation, self.stride)
        return tirx.indexdiv(y + self.pad, self.stride) - self.step

    def checks(self, y: Expr) -> list[Expr]:
        """What must hold for `tap` and `source` to exist."""
        found = [self.source(y) < self.extent]
        if self.dilation != 1:
            distance = y + self.pad - self.step * self.dilation
            found += [distance >= 0, tirx.indexmod(distance, self.stride) == 0]
        else:
            found.append(self.source(y) >= 0)
            if self.kernel % self.stride:
                found.append(self.tap(y) < self.kernel)
        return found


def _divide(index: Expr, extent: int) -> tuple[Expr, Expr]:
    """(index // extent, index % extent) of a non-negative index."""
    return tirx.indexdiv(index, extent), tirx.indexmod(index, extent)
