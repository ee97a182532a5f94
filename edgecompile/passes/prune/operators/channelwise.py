"""Operators that compute each channel (axis 1) from the same channel: pools, Resize, BatchNormalization.

What they mix, such as neighbouring pixels, must not have different units.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.passes.prune.trace import Trace, extra_outputs_read, name_of, shape_of

_POOLS = """AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool""".split()


def pool(trace: Trace, node: ir.Node) -> None:
    """Windows over the axes behind the channels."""
    if extra_outputs_read(node):
        return trace.stop(node)
    return trace.set_channels(node, trace.channels(node))


def resize(trace: Trace, node: ir.Node) -> None:
    """Any axis may hold the channels, as long as it keeps its length."""
    varying, rank = trace.labels.varying(trace.of(node.inputs[0])), len(shape_of(node.inputs[0]))
    axis = varying[0] if len(varying) == 1 else min(1, rank - 1)
    if shape_of(node.inputs[0])[axis] != shape_of(node.outputs[0])[axis]:
        return trace.stop(node)
    return trace.set_channels(node, trace.channels(node, axis), axis)


def batch_normalization(trace: Trace, node: ir.Node) -> None:
    """Parameters are one number a channel, also those of InstanceNormalization, which computes statistics."""
    if extra_outputs_read(node) or len(shape_of(node.inputs[0])) < 2:
        return trace.stop(node)
    channels = trace.channels(node)
    for index in range(1, len(node.inputs)):
        trace.weigh(node, index, 0, "carried", channels)
    return trace.set_channels(node, channels)


def group_normalization(trace: Trace, node: ir.Node) -> None:
    """Whole groups are cut, as statistics are theirs; of a single one, channels, which changes statistics."""
    groups = node.attributes["num_groups"].as_int()
    channels = trace.channels(node)
    if groups == 1:
        trace.inexact.append((channels, changed_statistics(node)))
    else:
        trace.labels.tie_along(channels.reshape(groups, -1), [1])
    for index in (1, 2):
        of_groups = shape_of(node.inputs[index])[0] == groups < len(channels)
        trace.weigh(node, index, 0, "carried", channels.reshape(groups, -1)[:, 0] if of_groups else channels)
    trace.set_channels(node, channels)


def changed_statistics(node: ir.Node) -> str:
    """Why a cut across what `node` normalizes changes more than what it removes."""
    return f"{node.op_type} '{name_of(node)}' takes its mean and variance over what is cut"


RULES = dict.fromkeys(_POOLS, pool) | {
    "Resize": resize,
    "BatchNormalization": batch_normalization,
    "InstanceNormalization": batch_normalization,
    "GroupNormalization": group_normalization,
}
