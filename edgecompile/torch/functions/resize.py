"""Resize to another number of positions, nearest or linear, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from edgecompile.torch.functions.call import Call, Function

_HALVES = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}


def _resize(call: Call) -> Tensor:
    x, mode = call[0], call.get_string("mode", "nearest")
    call.require(mode in ("nearest", "linear"), f"mode {mode}")
    call.require(not call.get_int("antialias", 0), "antialias")
    call.require(
        call.get_string("keep_aspect_ratio_policy", "stretch") == "stretch", "an aspect ratio policy"
    )
    axes = call.get_ints("axes") or list(range(x.ndim))
    for place, axis in enumerate(axes):
        size, scale = _extent(call, place, x.shape[axis])
        if size != x.shape[axis]:
            x = _along(call, x, axis % x.ndim, _coordinates(call, size, x.shape[axis], scale))
    return x


def _extent(call: Call, place: int, old: int) -> tuple[int, float]:
    """The new number of positions along an axis, and what it is scaled by."""
    sizes, scales = call.numbers(3), call.optional(2)
    if sizes:
        return sizes[place], sizes[place] / old
    assert scales is not None
    scale = float(scales.reshape(-1)[place])
    return int(old * scale), scale


def _coordinates(call: Call, size: int, old: int, scale: float) -> Tensor:
    """Where in the old positions the new ones lie; the names and formulas are those of ONNX."""
    new = torch.arange(size, dtype=torch.float64)
    mode = call.get_string("coordinate_transformation_mode", "half_pixel")
    if mode == "asymmetric":
        return new / scale
    if mode == "align_corners":
        return new * ((old - 1) / max(size - 1, 1))
    if mode == "half_pixel_symmetric":
        whole = old * scale
        return old / 2 * (1 - size / whole) + (new + 0.5) / scale - 0.5
    call.require(mode in ("half_pixel", "pytorch_half_pixel"), f"coordinates {mode}")
    centers = (new + 0.5) / scale - 0.5
    return torch.zeros_like(centers) if mode == "pytorch_half_pixel" and size == 1 else centers


def _along(call: Call, x: Tensor, axis: int, places: Tensor) -> Tensor:
    last = x.shape[axis] - 1
    if call.get_string("mode", "nearest") == "nearest":
        rounded = _HALVES[call.get_string("nearest_mode", "round_prefer_floor")](places)
        return x.index_select(axis, rounded.clamp(0, last).long())
    below = places.clamp(0, last).floor()
    shape = [1] * x.ndim
    shape[axis] = -1
    part = (places.clamp(0, last) - below).to(x.dtype).reshape(shape)
    first = x.index_select(axis, below.long())
    second = x.index_select(axis, (below + 1).clamp(max=last).long())
    return first + (second - first) * part


TABLE: Mapping[str, Function] = {"Resize": _resize}
