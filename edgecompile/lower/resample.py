"""Which input elements, with which weights, make each output element of Resize along one axis.

Everything here happens at compile time: all modes of Resize become the same kernel with other tables. The
formulas are those of the Resize operator in the ONNX specification.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecompile.core.coordinates import Axis, coordinates_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Filter:
    """How to interpolate: `mode` nearest, linear or cubic, and the options of ONNX Resize."""

    mode: str = "nearest"
    nearest_mode: str = "round_prefer_floor"
    coordinates: str = "half_pixel"
    cubic_a: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@dataclass(frozen=True)
class Taps:
    """`indices` and `weights` [outputs, taps]; `outside` [outputs] marks what is extrapolated."""

    indices: Array
    weights: Array
    outside: Array

    @property
    def count(self) -> int:
        return int(self.indices.shape[1])


def taps_of(axis: Axis, kind: Filter) -> Taps:
    """The taps of every output along `axis`."""
    at = coordinates_of(axis, kind.coordinates)
    outside = (at < 0) | (at > axis.inputs - 1)
    if kind.coordinates != "tf_crop_and_resize":
        outside = np.zeros_like(outside)
    if kind.mode == "nearest":
        indices = np.clip(_nearest(at, kind.nearest_mode), 0, axis.inputs - 1).astype(np.int32)
        return Taps(indices[:, None], np.ones((axis.outputs, 1), np.float32), outside)
    # The left neighbour of a coordinate that is a whole number is the one before it.
    left = np.ceil(at) - 1
    scale = min(axis.scale, 1.0) if kind.antialias else 1.0
    support = 1 if kind.mode == "linear" else 2
    first = math.floor(-support / scale) + 1
    positions = left[:, None] + np.arange(first, 2 - first)[None, :]
    weights = _kernel(kind)((positions - at[:, None]) * scale)
    if kind.antialias:
        weights /= weights.sum(axis=1, keepdims=True)
    if kind.exclude_outside:
        weights = np.where((positions < 0) | (positions >= axis.inputs), 0.0, weights)
        total = weights.sum(axis=1, keepdims=True)
        weights /= np.where(total == 0, 1.0, total)
    indices = np.clip(positions, 0, axis.inputs - 1).astype(np.int32)
    return _without_idle_taps(Taps(indices, weights.astype(np.float32), outside))


def _nearest(at: Array, mode: str) -> Array:
    rounding: dict[str, Callable[[Array], Array]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    return rounding[mode](at)


def _kernel(kind: Filter) -> Callable[[Array], Array]:
    """The interpolation kernel as a function of the distance."""
    if kind.mode == "linear":
        return lambda x: np.clip(1 - np.abs(x), 0, 1)
    a = kind.cubic_a

    def cubic(distance: Array) -> Array:
        x = np.abs(distance)
        near = ((a + 2) * x - (a + 3)) * x * x + 1
        far = a * (((x - 5) * x + 8) * x - 4)
        return np.where(x <= 1, near, np.where(x < 2, far, 0.0))

    return cubic


def _without_idle_taps(taps: Taps) -> Taps:
    """The same without taps whose weight is 0 everywhere."""
    used = np.any(taps.weights != 0, axis=0)
    return Taps(taps.indices[:, used], taps.weights[:, used], taps.outside)
