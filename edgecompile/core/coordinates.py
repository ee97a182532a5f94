"""Where ONNX's Resize reads: the coordinate in the input of every output along an axis.

The formulas are those of the attribute coordinate_transformation_mode in the ONNX specification.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Axis:
    """One resized axis: extents, `scale` (output / input), and the region of interest in [0, 1]."""

    inputs: int
    outputs: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)

    @property
    def whole(self) -> bool:
        """Whether nothing happens along this axis."""
        return self.inputs == self.outputs and math.isclose(self.scale, 1.0) and self.roi == (0.0, 1.0)


def coordinates_of(axis: Axis, mode: str) -> Array:
    """The input coordinate of every output."""
    y = np.arange(axis.outputs, dtype=np.float64)
    width = axis.scale * axis.inputs
    if mode == "align_corners":
        return np.zeros_like(y) if width == 1 else y * (axis.inputs - 1) / (width - 1)
    if mode == "asymmetric":
        return y / axis.scale
    if mode == "tf_crop_and_resize":
        start, end = axis.roi
        span = (end - start) * (axis.inputs - 1)
        moved = np.full_like(y, span / 2) if width == 1 else y * span / (width - 1)
        return np.asarray(moved + start * (axis.inputs - 1))
    if mode == "pytorch_half_pixel" and width == 1:
        return np.full_like(y, -0.5)
    centred = (y + 0.5) / axis.scale - 0.5
    if mode == "half_pixel_symmetric":
        return np.asarray(centred + axis.inputs / 2 * (1 - axis.outputs / width))
    return np.asarray(centred)
