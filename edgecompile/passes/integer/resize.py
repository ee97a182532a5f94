"""Linear interpolation in integers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.coordinates import Axis, coordinates_of
from edgecompile.core.fused import TO_NCHW, TO_NHWC, FusedOp
from edgecompile.core.integer import RESIZE_BITS
from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.integer.elementwise import requantize
from edgecompile.passes.integer.pools import common_zero
from edgecompile.passes.integer.site import Site, StaysFloat


def convert_resize(site: Site) -> None:
    """Resize of mode linear, in both layouts."""
    if not interpolates(site.node):
        raise StaysFloat("only plain linear interpolation has an integer form")
    x, mode = site.operand(0), _coordinates(site.node)
    axes = {place: axis for place, axis in enumerate(_axes(site, x.shape)) if not axis.whole}
    if x.is_wide:
        raise StaysFloat("its sums do not fit 32 bits")
    if not axes:
        requantize(site, x, *site.clamp())
        return
    bits = min(RESIZE_BITS, (31 - x.reach.bit_length()) // len(axes))
    positions = [_positions(axis, mode, bits, site.rounding == "double") for axis in axes.values()]
    order = TO_NHWC if site.op.layout == "nhwc" else tuple(range(len(x.shape)))
    attributes = site.result_attributes(*site.clamp()) | {
        "x_zero": x.zero,
        "axes": [order.index(axis) for axis in axes],
        "sizes": [axis.outputs for axis in axes.values()],
        "bits": bits,
    }
    zero = common_zero(site, x)
    if zero is not None:
        attributes |= {"x_zero": zero, "y_zero": zero}
    factor = x.scale / site.result.scale
    rescale = [] if factor == 1.0 else site.multiplier([factor / (1 << bits * len(axes))])
    places = site.constant(np.concatenate(positions).astype(np.int32), "positions")
    site.become("ResizeLinear", [x.value, places, *rescale], attributes)


def interpolates(node: ir.Node) -> bool:
    """Whether `node` is a Resize by linear interpolation that has an integer form."""
    op, attributes = FusedOp.of(node), node.attributes
    if op is None or op.base != "Resize" or attributes.get_string("mode", "nearest") != "linear":
        return False
    stretches = attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    crops = _coordinates(node) == "tf_crop_and_resize"
    return stretches and not crops and not attributes.get_int("antialias", 0)


def _coordinates(node: ir.Node) -> str:
    return node.attributes.get_string("coordinate_transformation_mode", "half_pixel")


def _axes(site: Site, stored: Sequence[int]) -> list[Axis]:
    """All axes, channels first."""
    order = TO_NCHW if site.op.layout == "nhwc" else range(len(stored))
    result = static_shape(site.node.outputs[0]) or ()
    inputs, outputs = ([shape[place] for place in order] for shape in (stored, result))
    scales = [after / before for before, after in zip(inputs, outputs, strict=True)]
    given = constant_of(site.node.inputs[2]) if len(site.node.inputs) > 2 else None
    if given is not None and given.size:
        chosen = site.node.attributes.get_ints("axes") or range(len(inputs))
        for axis, scale in zip(chosen, given, strict=True):
            scales[axis] = float(scale)
    return [Axis(*sizes) for sizes in zip(inputs, outputs, scales, strict=True)]


def _positions(axis: Axis, mode: str, bits: int, as_tflite: bool) -> Array:
    """Where each element of the result lies in the input, in 2^-`bits`."""
    last = (axis.inputs - 1) << bits
    if as_tflite and axis.scale == axis.outputs / axis.inputs and mode in _SHARED:
        return np.clip(_tflite_positions(axis, mode, bits), 0, last)
    return np.asarray(np.rint(np.clip(coordinates_of(axis, mode) * (1 << bits), 0, last)))


# Modes that TensorFlow Lite has as well.
_SHARED = ("align_corners", "asymmetric", "half_pixel")


def _tflite_positions(axis: Axis, mode: str, bits: int) -> Array:
    """As TensorFlow Lite computes them: multiples of the rounded distance of two elements."""
    inputs, outputs = axis.inputs, axis.outputs
    if mode == "align_corners" and outputs > 1:
        inputs, outputs = inputs - 1, outputs - 1
    step = ((inputs << bits) + outputs // 2) // outputs
    offset = step // 2 - (1 << bits - 1) if mode == "half_pixel" else 0
    return np.arange(axis.outputs) * step + offset
