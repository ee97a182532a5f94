"""Resize: as MIL's own operations where these read at the same places, else as products with matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.backends.coreml.evaluator.images import sample_points
from edgecompile.backends.coreml.registry import writes
from edgecompile.backends.coreml.view import NodeView
from edgecompile.core.coordinates import Axis, coordinates_of
from edgecompile.lower.resample import Filter, Taps, taps_of
from edgecompile.passes.edit import constant_of, static_shape

_SAMPLING = ("UNALIGN_CORNERS", "STRICT_ALIGN_CORNERS", "DEFAULT")
# Of an element: positions that are nearer to each other give the same float16 result but for its last bit.
_NEAR = 1e-4


@writes("Resize")
def resize(view: NodeView) -> None:
    axes, kind = resized_axes(view.node), filter_of(view.node)
    changed = {place: axis for place, axis in enumerate(axes) if not axis.whole}
    x, sampling = view.variable(0), _sampling(list(changed.values()), kind)
    if sampling is not None:
        sizes = [axis.outputs for axis in axes[-2:]]
        x = view.emit(
            "resize",
            x=x,
            shape=np.array(sizes, np.int32),
            resized_dims=np.uint32(2),
            interpolation_mode="LINEAR",
            sampling_mode=sampling,
        )
        view.finish(x)
        return
    for place, axis in changed.items():
        x = _along(view, x, place, taps_of(axis, kind))
    view.finish(x if changed else view.emit("identity", x=x))


def _along(view: NodeView, x: Any, place: int, taps: Taps) -> Any:
    """One axis: elements repeated or chosen, or weighted sums of them."""
    indices, count = taps.indices[:, 0], x.shape[place]
    factor = len(indices) // count
    if taps.count == 1 and place >= x.rank - 2 and x.rank >= 3 and _repeats(indices, factor):
        name = "scale_factor_height" if place == x.rank - 2 else "scale_factor_width"
        return view.emit("upsample_nearest_neighbor", x=x, **{name: factor})
    if taps.count == 1:
        return view.emit("gather", x=x, indices=indices, axis=place)
    matrix = np.zeros((len(indices), count), np.float32)
    np.add.at(matrix, (np.arange(len(indices))[:, None], taps.indices), taps.weights)
    weights = matrix.astype(np.float16)
    if place == x.rank - 1:
        return view.emit("matmul", x=x, y=weights, transpose_y=True)
    return view.emit("matmul", x=weights, y=x)


def _repeats(indices: Any, factor: int) -> bool:
    """Whether every element is there `factor` times, in order."""
    return factor > 1 and np.array_equal(indices, np.arange(len(indices)) // factor)


def _sampling(changed: list[Axis], kind: Filter) -> str | None:
    """The mode in which MIL's linear interpolation reads where `kind` does; None when there is none."""
    if kind.mode != "linear" or kind.antialias or kind.exclude_outside or not changed:
        return None
    for mode in _SAMPLING:
        if all(_reads_alike(axis, kind, mode) for axis in changed):
            return mode
    return None


def _reads_alike(axis: Axis, kind: Filter, mode: str) -> bool:
    wanted = np.clip(coordinates_of(axis, kind.coordinates), 0, axis.inputs - 1)
    return bool(np.abs(sample_points(axis.inputs, axis.outputs, mode) - wanted).max(initial=0) < _NEAR)


def filter_of(node: ir.Node) -> Filter:
    """How a Resize interpolates."""
    get = node.attributes
    return Filter(
        get.get_string("mode", "nearest") or "nearest",
        get.get_string("nearest_mode", "round_prefer_floor") or "round_prefer_floor",
        get.get_string("coordinate_transformation_mode", "half_pixel") or "half_pixel",
        float(get.get_float("cubic_coeff_a", -0.75) or -0.75),
        bool(get.get_int("antialias", 0)),
        bool(get.get_int("exclude_outside", 0)),
    )


def resized_axes(node: ir.Node) -> list[Axis]:
    """All axes of a Resize that stretches."""
    inputs, outputs = (static_shape(value) or () for value in (node.inputs[0], node.outputs[0]))
    scales = [after / before for before, after in zip(inputs, outputs, strict=True)]
    given = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
    if given is not None and given.size:
        for axis, scale in zip(node.attributes.get_ints("axes") or range(len(inputs)), given, strict=True):
            scales[axis] = float(scale)
    return [Axis(*sizes) for sizes in zip(inputs, outputs, scales, strict=True)]
