"""Resize and Upsample, in NCHW and (domain edgecompile) NHWC."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from tvm import tirx

from edgecompile.core.coordinates import Axis
from edgecompile.kernels.compute import Layout, shape_of
from edgecompile.kernels.compute_resize import AxisTaps, resize
from edgecompile.lower.layouts import both_layouts
from edgecompile.lower.registry import Kind, NodeView, Tensor, op
from edgecompile.lower.resample import Array, Filter, taps_of

# Denominators that are tried when a table of positions is replaced by arithmetic.
_MAX_DENOMINATOR = 16


@both_layouts("Resize", Kind.ANCHOR, static=(1, 2, 3))
def resize_op(n: NodeView, layout: Layout) -> Tensor:
    """All modes; roi, scales and sizes are in ONNX's order of axes for both layouts."""
    kind = Filter(
        n.attr("mode", "nearest"),
        n.attr("nearest_mode", "round_prefer_floor"),
        n.attr("coordinate_transformation_mode", "half_pixel"),
        float(n.attr("cubic_coeff_a", -0.75)),
        bool(n.attr("antialias", 0)),
        bool(n.attr("exclude_outside", 0)),
    )
    return _resize(n, _axes(n, layout, kind), kind, layout)


@op("Upsample", kind=Kind.ANCHOR, static=(1,))
def upsample(n: NodeView) -> Tensor:
    """The forerunner of Resize: asymmetric coordinates, nearest means floor."""
    kind = Filter(n.attr("mode", "nearest"), "floor", "asymmetric")
    extents = zip(shape_of(n.input(0)), n.outputs[0].shape, n.require_const(1), strict=True)
    axes = [Axis(inputs, outputs, float(scale)) for inputs, outputs, scale in extents]
    return _resize(n, axes, kind, Layout(channels_last=False))


def _axes(n: NodeView, layout: Layout, kind: Filter) -> list[Axis]:
    """The axes in ONNX's order (batch, channel, spatial)."""
    inputs, outputs = (_onnx_order(shape, layout) for shape in (shape_of(n.input(0)), n.outputs[0].shape))
    rank = len(inputs)
    chosen = [int(a) % rank for a in n.attr("axes") or range(rank)]
    scales = _scales(n, inputs, outputs, chosen)
    starts, ends = [0.0] * rank, [1.0] * rank
    if kind.coordinates == "tf_crop_and_resize":
        roi = n.require_const(1)
        for position, axis in enumerate(chosen):
            starts[axis], ends[axis] = float(roi[position]), float(roi[len(chosen) + position])
    rows = zip(inputs, outputs, scales, zip(starts, ends, strict=True), strict=True)
    return [Axis(i, o, scale, roi) for i, o, scale, roi in rows]


def _scales(n: NodeView, inputs: Sequence[int], outputs: Sequence[int], chosen: Sequence[int]) -> list[float]:
    """One scale an axis: given, or from the sizes and the aspect ratio policy."""
    scales, sizes = [1.0] * len(inputs), n.const(3)
    if sizes is None or sizes.size == 0:
        for axis, scale in zip(chosen, n.require_const(2), strict=True):
            scales[axis] = float(scale)
        return scales
    ratios = [int(size) / inputs[axis] for axis, size in zip(chosen, sizes, strict=True)]
    policy = n.attr("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        ratios = [min(ratios) if policy == "not_larger" else max(ratios)] * len(ratios)
    for axis, ratio in zip(chosen, ratios, strict=True):
        scales[axis] = ratio
    return scales


def _onnx_order(shape: Sequence[int], layout: Layout) -> tuple[int, ...]:
    batch, spatial, channel = layout.split(shape)
    return (batch, channel, *spatial) if layout.channels_last else tuple(shape)


def _resize(n: NodeView, axes: Sequence[Axis], kind: Filter, layout: Layout) -> Tensor:
    taps = [_taps(n, f"axis{i}", axis, kind) for i, axis in enumerate(axes)]
    if layout.channels_last:
        taps = [taps[0], *taps[2:], taps[1]]
    extrapolation = float(n.attr("extrapolation_value", 0.0))
    return resize(n.input(0), taps, n.outputs[0].shape, extrapolation)


def _taps(n: NodeView, label: str, axis: Axis, kind: Filter) -> AxisTaps:
    """Tables as constants of the kernel, or arithmetic where that says the same."""
    if axis.whole or axis.outputs == 0:
        return AxisTaps(1, lambda at, tap: at)
    taps = taps_of(axis, kind)
    outside = None
    if taps.outside.any():
        marks = n.weight(taps.outside.astype(np.int32), f"{label}_outside")
        outside = lambda at: marks(at) != 0  # noqa: E731
    plain = taps.count == 1 and bool((taps.weights == 1).all())
    line = _as_arithmetic(taps.indices[:, 0], axis) if plain else None
    if line is not None:
        factor, offset, divisor = line
        return AxisTaps(1, lambda at, tap: tirx.indexdiv(at * factor + offset, divisor), None, outside)
    indices = n.weight(taps.indices, f"{label}_indices")
    if plain:
        return AxisTaps(1, lambda at, tap: indices(at, tap), None, outside)
    weights = n.weight(taps.weights, f"{label}_weights")
    return AxisTaps(taps.count, lambda at, tap: indices(at, tap), lambda at, tap: weights(at, tap), outside)


def _as_arithmetic(indices: Array, axis: Axis) -> tuple[int, int, int] | None:
    """(factor, offset, divisor) with indices = (output * factor + offset) // divisor, if there are such."""
    ratio = Fraction(axis.inputs, axis.outputs)
    if ratio.denominator > _MAX_DENOMINATOR:
        return None
    outputs = np.arange(len(indices))
    for offset in range(max(ratio.numerator, ratio.denominator)):
        if np.array_equal((outputs * ratio.numerator + offset) // ratio.denominator, indices):
            return ratio.numerator, offset, ratio.denominator
    return None
