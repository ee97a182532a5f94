"""Depthwise convolution: every channel by itself, with a plan for its schedule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
from tvm import te, tirx

from edgecompile.kernels.compute import Layout, Tensor, Window, element_type, padded_reader, reduce_axes
from edgecompile.kernels.math import Expr, cast

PLAN = "edgecompile.depthwise"


@dataclass(frozen=True)
class DepthwisePlan:
    """How a channels-last depthwise convolution is computed.

    A register tile is `pixels` neighbouring outputs of a line by `lanes` channels, whose products `kernel`
    adds up. `block` output lines are worked on at a time. `pad` is what lies outside of the input.
    """

    # What was free to choose.
    KNOBS: ClassVar[tuple[str, ...]] = ("kernel", "pixels", "block")

    kernel: str
    lanes: int
    pixels: int
    block: int
    window: Window
    pad: int = 0

    def dump(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def load(text: str) -> DepthwisePlan:
        fields = json.loads(text)
        fields["window"] = Window(**{name: tuple(value) for name, value in fields["window"].items()})
        return DepthwisePlan(**fields)


def pack_depthwise_weights(weights: np.ndarray) -> np.ndarray:
    """Weights [C, 1, *K] as [taps, C]."""
    return np.ascontiguousarray(weights.reshape(weights.shape[0], -1).T)


def depthwise(
    data: Tensor, weights: Tensor, plan: DepthwisePlan, shape: Sequence[int], accumulator: str
) -> Tensor:
    """Sums over the windows of `data` [N, *S, C] times `weights` [taps, C], into `shape` [N, *OS, C]."""
    layout, window = Layout(channels_last=True), plan.window
    read = padded_reader(data, layout, window, shape[1:-1], tirx.const(plan.pad, element_type(data)))
    taps = reduce_axes(window.kernel, "k")

    def element(*index: Expr) -> Expr:
        batch, position, channel = layout.split(index)
        tap: Expr = 0
        for at, extent in zip(taps, window.kernel, strict=True):
            tap = tap * extent + at
        value = read(batch, window.position(position, taps), channel)
        return te.sum(cast(value, accumulator) * cast(weights(tap, channel), accumulator), axis=taps)

    return te.compute(tuple(shape), element, name="depthwise", attrs={PLAN: plan.dump()})
