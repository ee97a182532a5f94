"""Tensors whose channels can be scaled, as all between their writers and readers commutes with it.

Channels are on axis 1 of what a Conv reads, and on the last axis of what a product does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import onnx_ir as ir

from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.integer.moves import padding_of
from edgecompile.passes.matching import other_input, scalar
from edgecompile.passes.quantize.plan import CONTRACTIONS, reading_axis, weights_axis

_COMMUTING = frozenset({"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})
# What ends in a multiplication by a constant vector, at this input and plus another vector behind it, if any.
_NORMALIZATIONS = {"LayerNormalization": 1, "RMSNormalization": 1}

# A tensor and the axis of its channels.
Channels = tuple[ir.Value, int]


@dataclass
class ChannelGroup:
    """Tensors whose channels can only be scaled together, and what is scaled in turn.

    `axes` has the axis of channels of each tensor; `writers` and `readers` are contractions; `vectors` are
    inputs of nodes, one number a channel, that are scaled like the tensors: gain and bias of a normalization,
    what a Mul multiplies by, what an Add adds. `bound` is that of the Clip among them, infinity without one.
    """

    channels: int
    axes: dict[ir.Value, int]
    writers: list[ir.Node] = field(default_factory=list)
    readers: list[ir.Node] = field(default_factory=list)
    vectors: list[tuple[ir.Node, int]] = field(default_factory=list)
    bound: float = math.inf

    @property
    def values(self) -> list[ir.Value]:
        return list(self.axes)


def channel_groups(graph: ir.Graph) -> list[ChannelGroup]:
    """All groups of `graph` that can be scaled, in order of appearance."""
    seen: set[ir.Value] = set()
    groups = []
    for node in graph:
        axis = _written_axis(node)
        if axis is None or node.outputs[0] in seen:
            continue
        group = _group(node.outputs[0], axis)
        if group is not None and group.readers:
            groups.append(group)
        seen.update(group.values if group else [node.outputs[0]])
    return groups


def _written_axis(node: ir.Node) -> int | None:
    """The axis of channels in the result of a node that a group can begin at."""
    if _is_contraction(node):
        return 1 if node.op_type == "Conv" else _rank(node.outputs[0]) - 1
    if _normalization_vectors(node):
        return _rank(node.outputs[0]) - 1
    if node.op_type != "Mul" or node.domain:
        return None
    return next((axis for axis in (1, _rank(node.outputs[0]) - 1) if _vector(node, axis) is not None), None)


def _group(start: ir.Value, start_axis: int) -> ChannelGroup | None:
    """Everything that must be scaled with `start`; None when something there does not allow it."""
    shape = static_shape(start) or ()
    if not 0 < start_axis < len(shape):
        return None
    group, pending = ChannelGroup(shape[start_axis], {start: start_axis}), [start]
    for value in pending:
        axis = group.axes[value]
        if value.is_graph_output() or (static_shape(value) or ())[axis : axis + 1] != (group.channels,):
            return None
        connected = _through_writer(group, value, axis)
        for node, index in value.uses():
            more = _through_reader(group, node, index, axis)
            connected = None if connected is None or more is None else [*connected, *more]
        if connected is None:
            return None
        for other, its_axis in connected:
            if group.axes.setdefault(other, its_axis) != its_axis:
                return None
            if other not in pending:
                pending.append(other)
    return group


def _through_writer(group: ChannelGroup, value: ir.Value, axis: int) -> list[Channels] | None:
    node = value.producer()
    if node is None:
        return None
    if _is_contraction(node):
        group.writers.append(node)
        return [] if axis == _written_axis(node) else None
    vectors = _normalization_vectors(node)
    vector = _vector(node, axis) if node.op_type == "Mul" else None
    if vectors and axis == _rank(value) - 1:
        group.vectors += [(node, index) for index in vectors]
        return []
    if vector is not None:
        group.vectors.append((node, vector))
        return []
    return _commutes(group, node, axis, value)


def _through_reader(group: ChannelGroup, node: ir.Node, index: int, axis: int) -> list[Channels] | None:
    if _is_contraction(node):
        if index != 0 or axis != reading_axis(node):
            return None
        group.readers.append(node)
        return []
    value = node.inputs[index]
    assert value is not None
    return _commutes(group, node, axis, value)


def _commutes(group: ChannelGroup, node: ir.Node, axis: int, value: ir.Value) -> list[Channels] | None:
    """The data that `node` connects to `value` when it commutes with factors of channels."""
    if node.domain or len(node.outputs) != 1 or node.inputs[0] is None:
        return None
    source, result = node.inputs[0], node.outputs[0]
    if node.op_type == "Add":
        return _through_add(group, node, axis)
    if node.op_type == "Clip":
        least, greatest = (scalar(bound) for bound in (*node.inputs[1:], None, None)[:2])
        if least != 0.0 or greatest is None:
            return None
        group.bound = min(group.bound, greatest)
        return [(source, axis), (result, axis)]
    if node.op_type in ("Reshape", "Transpose"):
        return _through_move(node, axis, value)
    spatial = axis == 1 and node.op_type in _COMMUTING
    pointwise = node.op_type in ("Relu", "LeakyRelu")
    padding = axis == 1 and node.op_type == "Pad" and _pads_space(node)
    return [(source, axis), (result, axis)] if spatial or pointwise or padding else None


def _through_add(group: ChannelGroup, node: ir.Node, axis: int) -> list[Channels] | None:
    result, vector = node.outputs[0], _vector(node, axis)
    if vector is not None:
        data = node.inputs[1 - vector]
        if (node, vector) not in group.vectors:
            group.vectors.append((node, vector))
        return None if data is None else [(data, axis), (result, axis)]
    operands = [value for value in node.inputs if value is not None]
    alike = all(static_shape(value) == static_shape(result) for value in operands)
    return (
        [(v, axis) for v in (*operands, result)] if alike and not any(map(_is_constant, operands)) else None
    )


def _through_move(node: ir.Node, axis: int, value: ir.Value) -> list[Channels] | None:
    """A Transpose, or a Reshape that keeps the last axis, or axis 1 when only axes of length 1 follow."""
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    before, after = static_shape(source) or (), static_shape(result) or ()
    if node.op_type == "Transpose":
        order = list(node.attributes.get_ints("perm", tuple(range(len(before)))[::-1]))
        read, written = (axis, order.index(axis)) if value is source else (order[axis], axis)
        return [(source, read), (result, written)]
    own = before if value is source else after
    if before[-1:] == after[-1:] and axis == len(own) - 1:
        return [(source, len(before) - 1), (result, len(after) - 1)]
    flattens = before[:2] == after[:2] and {1} >= {*before[2:], *after[2:]}
    return [(source, 1), (result, 1)] if flattens and axis == 1 else None


def _normalization_vectors(node: ir.Node) -> list[int]:
    """The inputs of a normalization over the last axis that hold its gain and bias."""
    gain = _NORMALIZATIONS.get(node.op_type)
    if gain is None or node.domain or len([v for v in node.outputs if v.uses() or v.is_graph_output()]) != 1:
        return []
    rank = _rank(node.outputs[0])
    last = (static_shape(node.outputs[0]) or ())[-1:]
    places = [index for index, value in enumerate(node.inputs) if index >= gain and value is not None]
    fits = all(_is_constant(node.inputs[i]) and static_shape(node.inputs[i]) == last for i in places)
    return places if fits and node.attributes.get_int("axis", -1) % max(rank, 1) == rank - 1 else []


def _vector(node: ir.Node, axis: int) -> int | None:
    """The constant input of a Mul or Add that has one number for each channel, on `axis` of the other."""
    for index, value in enumerate(node.inputs[:2]):
        data = other_input(node, value) if value is not None and _is_constant(value) else None
        shape, data_shape = static_shape(value) or (), static_shape(data)
        if data_shape is None or data_shape != static_shape(node.outputs[0]) or len(shape) > len(data_shape):
            continue
        place = axis - (len(data_shape) - len(shape))
        if place >= 0 and [i for i, size in enumerate(shape) if size != 1] in ([place], []):
            return index if shape[place] == data_shape[axis] else None
    return None


def _rank(value: ir.Value) -> int:
    return len(static_shape(value) or ())


def _is_constant(value: ir.Value | None) -> bool:
    return constant_of(value) is not None


def _pads_space(node: ir.Node) -> bool:
    pads = constant_of(node.inputs[1]) if len(node.inputs) == 3 else None
    if padding_of(node) != 0.0 or pads is None:
        return False
    rank = len(pads) // 2
    return not any(int(pads[axis]) for axis in (0, 1, rank, rank + 1))


def _is_contraction(node: ir.Node) -> bool:
    """A Conv, Gemm or MatMul with constants that nobody else reads."""
    if node.op_type not in CONTRACTIONS or node.domain or weights_axis(node) is None:
        return False
    constants = [value for value in node.inputs[1:] if value is not None]
    if node.op_type == "Gemm" and node.attributes.get_int("transA", 0) == 1:
        return False
    if node.op_type == "MatMul" and (_rank(constants[0]) != 2 or _rank(node.outputs[0]) < 2):
        return False
    return all(_is_constant(value) and len(value.uses()) == 1 for value in constants)
