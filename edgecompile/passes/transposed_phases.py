"""How a transposed convolution is made of ordinary ones: arithmetic on shapes and weights, without a graph.

Along an axis, output u is reached by input i through tap k when u + pad = i * stride + k * dilation. So the
outputs of one phase, u modulo stride, are a convolution by every stride-th tap: W. Shi et al., "Is the
deconvolution layer the same as a convolutional layer?", 2016. Phases that are computed together, as output
channels of one convolution, share a window, in which some taps may be zeros. Fewer together mean fewer zeros,
but more convolutions, whose results must be joined.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from edgecompile.passes.edit import Array

# To move an element costs about as much as so many products.
_MOVE = 8
# Kernels compute so many output channels of a group at once, or waste what is missing; a depthwise
# convolution with one output channel a group does not.
_LANES = 8
# More convolutions would be faster only where they are tiny, and take more code than they are worth.
_MOST = 16


@dataclass(frozen=True)
class Transposed:
    """A transposed convolution, one entry an axis; `channels` are input and output channels of a group."""

    extents: tuple[int, ...]
    results: tuple[int, ...]
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    batch: int
    groups: int
    channels: tuple[int, int]


@dataclass(frozen=True)
class Window:
    """Neighbouring phases along one axis: padding at begin and end, and their taps.

    `taps` [phases, taps] holds numbers of taps of the transposed convolution; their count stands for none.
    """

    pads: tuple[int, int]
    taps: Array


@dataclass(frozen=True)
class Axis:
    """`count` positions, each with the phases of all `windows`; of the results, the first `crop` are cut off.

    Taps of a window are `step` inputs apart.
    """

    count: int
    crop: int
    step: int
    windows: tuple[Window, ...]

    @property
    def phases(self) -> int:
        """Of each window: all have equally many."""
        return int(self.windows[0].taps.shape[0])

    @property
    def stride(self) -> int:
        return self.phases * len(self.windows)

    @property
    def is_possible(self) -> bool:
        """Whether there are a tap and no negative padding in every window."""
        return all(window.taps.size and min(window.pads) >= 0 for window in self.windows)

    @property
    def products(self) -> int:
        """Products of an input and a tap, including those by zero."""
        return self.count * sum(window.taps.size for window in self.windows)


@dataclass(frozen=True)
class Phases:
    """The convolutions, one for each combination of the axes' windows.

    Their channels are (group, phases, output), and joined one after another (windows, group, phases, output).
    """

    axes: tuple[Axis, ...]
    groups: int
    outputs: int

    @property
    def windows(self) -> Iterator[tuple[Window, ...]]:
        """The windows of each convolution, one an axis."""
        return product(*(axis.windows for axis in self.axes))

    @property
    def channels(self) -> int:
        """Output channels of each convolution."""
        return self.groups * self.outputs * math.prod(axis.phases for axis in self.axes)

    def weights(self, windows: Sequence[Window], array: Array, nothing: Array) -> Array:
        """[channels, C / groups, *taps] of one convolution, from [C, outputs, *K].

        What stands for no tap holds `nothing`, one number or one an output.
        """
        rank = len(windows)
        padded = np.pad(array, [(0, 0), (0, 0), *[(0, 1)] * rank])
        for axis in range(2, 2 + rank):
            np.moveaxis(padded, (axis, 1), (0, -1))[-1] = nothing
        for place, window in enumerate(windows):
            padded = np.take(padded, window.taps, axis=2 + 2 * place)
        split = padded.reshape(self.groups, -1, *padded.shape[1:])
        moved = split.transpose(0, *range(3, 3 + 2 * rank, 2), 2, 1, *range(4, 4 + 2 * rank, 2))
        return moved.reshape(self.channels, -1, *(window.taps.shape[1] for window in windows))

    def of_channels(self, vector: Array) -> Array:
        """One entry a channel of a convolution, from one an output, or one an output of each group."""
        every = vector.reshape(-1, 1, self.outputs)
        count = self.channels // (self.groups * self.outputs)
        return np.broadcast_to(every, (self.groups, count, self.outputs)).reshape(-1)


def plan_phases(given: Transposed) -> Phases | None:
    """The cheapest convolutions; None where borders of the input reach no output."""
    plans = product(*(_choices(given, axis) for axis in range(len(given.extents))))
    small = (plan for plan in plans if math.prod(len(axis.windows) for axis in plan) <= _MOST)
    axes = min(small, key=lambda plan: _cost(given, plan), default=None)
    return None if axes is None else Phases(axes, given.groups, given.channels[1])


def _choices(given: Transposed, axis: int) -> list[Axis]:
    """Forms of one axis: of those with as many windows, with and without a crop, that of fewest products."""
    best: dict[tuple[int, bool], Axis] = {}
    stride = given.strides[axis]
    for crop, phases in product(range(stride), range(1, stride + 1)):
        form = _form(given, axis, crop, phases) if stride % phases == 0 else None
        if form is None or not form.is_possible:
            continue
        key = len(form.windows), crop > 0
        if key not in best or form.products < best[key].products:
            best[key] = form
    return list(best.values())


def _form(given: Transposed, axis: int, crop: int, phases: int) -> Axis:
    """Position q is for the outputs u = q * stride + phase - crop."""
    stride, dilation = given.strides[axis], given.dilations[axis]
    step = dilation if stride == 1 else 1
    count = -(-(given.results[axis] + crop) // stride)
    windows = []
    for phase in range(0, stride, phases):
        offset = phase + given.pads[axis] - crop
        lowest = -(((given.kernel[axis] - 1) * dilation - offset) // stride)
        highest = (offset + phases - 1) // stride
        distances = np.arange(phases)[:, None] + offset - stride * np.arange(lowest, highest + 1, step)
        taps, between = np.divmod(distances, dilation)
        exist = (between == 0) & (taps >= 0) & (taps < given.kernel[axis])
        pads = -lowest, count + highest - given.extents[axis]
        windows.append(Window(pads, np.where(exist, taps, given.kernel[axis])))
    return Axis(count, crop, step, tuple(windows))


def _cost(given: Transposed, axes: Sequence[Axis]) -> int:
    """Products, and what is moved, in units of a product."""
    depth, outputs = given.channels
    width = outputs * math.prod(axis.phases for axis in axes)
    calls = math.prod(len(axis.windows) for axis in axes)
    depthwise = depth == 1 and given.groups > 1
    lanes = max(width, _LANES) if not depthwise else width * _LANES if width > 1 else 1
    products = math.prod(axis.products for axis in axes) * outputs * depth * lanes // width
    moved = calls * depth * math.prod(given.extents)
    if calls > 1:
        moved += outputs * math.prod(axis.count * axis.stride for axis in axes)
    if any(axis.count * axis.stride > result for axis, result in zip(axes, given.results, strict=True)):
        moved += outputs * math.prod(given.results)
    return given.batch * given.groups * (products + _MOVE * moved)
