"""Normalizations: batch, layer, RMS, instance, group, Lp and local response."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.kernels import compute_normalize
from edgecompile.kernels.compute import Layout, accumulator, broadcast_index, shape_of
from edgecompile.kernels.compute_normalize import Boxes, Statistics
from edgecompile.kernels.loops import Buffer
from edgecompile.kernels.math import Expr, cast, const, sqrt
from edgecompile.lower.layouts import both_layouts
from edgecompile.lower.planned import row_loops
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("BatchNormalization", kind=Kind.ELEMENTWISE)
def batch_normalization(n: NodeView) -> Tensor:
    """Inference form: (x - mean) / sqrt(var + epsilon) * scale + B, one number each a channel."""
    if n.attr("training_mode", 0):
        raise n.unsupported("training_mode=1 computes batch statistics", "export the network for inference")
    data, epsilon = n.input(0), float(n.attr("epsilon", 1e-5))
    layout = Layout(channels_last=len(data.shape) == 2)
    total = accumulator(n.outputs[0].dtype)
    constants = [n.const(index) for index in range(1, 5)]
    if all(array is not None for array in constants):
        scale, shift, mean, variance = (np.asarray(a, np.float64) for a in constants)
        factor = scale / np.sqrt(variance + epsilon)
        first, second = (
            n.weight(array.astype(total), label)
            for array, label in ((factor, "scale"), (shift - mean * factor, "shift"))
        )
        return compute_normalize.batch_normalize(data, first, second, layout)

    def parameter(index: int, channel: Expr) -> Expr:
        return cast(n.input(index)(channel), total)

    def factor_of(channel: Expr) -> Expr:
        return parameter(1, channel) / sqrt(parameter(4, channel) + const(epsilon, total))

    def shift_of(channel: Expr) -> Expr:
        return parameter(2, channel) - parameter(3, channel) * factor_of(channel)

    return compute_normalize.batch_normalize(data, factor_of, shift_of, layout)


@op("LayerNormalization", kind=Kind.OPAQUE)
def layer_normalization(n: NodeView) -> list[Tensor]:
    """All axes from `axis` on; further results Mean and InvStdDev."""
    data, axis = n.input(0), _axis(n)
    names = {1: "mean", 2: "inverse"}
    positions = [i for i in (1, 2) if i < len(n.outputs) and n.outputs[i].name]
    shape = (*shape_of(data)[:axis], *[1] * (len(data.shape) - axis))
    wanted = Statistics(tuple(names[i] for i in positions), shape)
    results = _layer_normalize(n, axis, centred=True, wanted=wanted)
    by_position = dict(zip((0, *positions), results, strict=True))
    return [by_position.get(i, results[0]) for i in range(len(n.outputs))]


@op("RMSNormalization", kind=Kind.OPAQUE)
def rms_normalization(n: NodeView) -> Tensor:
    """x / sqrt(mean of squares + epsilon) * scale, over all axes from `axis` on."""
    return _layer_normalize(n, _axis(n), centred=False, wanted=Statistics())[0]


@op("LpNormalization", kind=Kind.OPAQUE)
def lp_normalization(n: NodeView) -> Tensor:
    """x divided by its norm along `axis`."""
    data = n.input(0)
    boxes = Boxes.along(shape_of(data), _axis(n))
    return compute_normalize.lp_normalize(data, boxes, int(n.attr("p", 2)), row_loops(n))


@both_layouts("InstanceNormalization", Kind.OPAQUE)
def instance_normalization(n: NodeView, layout: Layout) -> Tensor:
    """Each channel of each sample by itself; scale and B one number a channel."""
    channels = layout.split(n.outputs[0].shape)[2]
    return _group_normalize(n, int(channels), layout)


@both_layouts("GroupNormalization", Kind.OPAQUE)
def group_normalization(n: NodeView, layout: Layout) -> Tensor:
    """Groups of channels of each sample; scale and bias one number a channel."""
    return _group_normalize(n, int(n.attr("num_groups")), layout)


@both_layouts("LRN", Kind.ANCHOR)
def local_response_normalization(n: NodeView, layout: Layout) -> Tensor:
    """Divides by a power of the energy in neighbouring channels."""
    alpha, beta, bias = (float(n.attr(k, d)) for k, d in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return compute_normalize.local_response_normalize(n.input(0), n.attr("size"), alpha, beta, bias, layout)


def _axis(n: NodeView) -> int:
    return int(n.attr("axis", -1)) % len(n.outputs[0].shape)


def _layer_normalize(n: NodeView, axis: int, centred: bool, wanted: Statistics) -> list[Tensor]:
    data = n.input(0)
    boxes, epsilon = Boxes.trailing(shape_of(data), axis), float(n.attr("epsilon", 1e-5))
    parameters = [n.input(i) for i in (1, 2) if n.has(i)]
    extents = [shape_of(p) for p in parameters]
    total = accumulator(n.outputs[0].dtype)

    def finish(buffers: list[Buffer], index: Sequence[Expr], value: Expr) -> Expr:
        factors = [cast(b[broadcast_index(index, e)], total) for b, e in zip(buffers, extents, strict=True)]
        return _affine(factors, value)

    return compute_normalize.standardize(
        data, parameters, boxes, epsilon, finish, row_loops(n), centred, wanted
    )


def _group_normalize(n: NodeView, count: int, layout: Layout) -> Tensor:
    data = n.input(0)
    boxes, epsilon = Boxes.groups(shape_of(data), count, layout), float(n.attr("epsilon", 1e-5))
    total = accumulator(n.outputs[0].dtype)

    def finish(buffers: list[Buffer], index: Sequence[Expr], value: Expr) -> Expr:
        channel = layout.split(index)[2]
        return _affine([cast(buffer[channel], total) for buffer in buffers], value)

    parameters = [n.input(1), n.input(2)]
    return compute_normalize.standardize(data, parameters, boxes, epsilon, finish, row_loops(n))[0]


def _affine(parameters: Sequence[Expr], value: Expr) -> Expr:
    """value * scale [+ shift]."""
    scaled = value * parameters[0]
    return scaled + parameters[1] if len(parameters) > 1 else scaled
