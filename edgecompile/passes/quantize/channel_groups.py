"""Tensors whose channels can be scaled, as all between their writers and readers commutes with it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import onnx_ir as ir

from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.integer.moves import padding_of
from edgecompile.passes.matching import scalar
from edgecompile.passes.quantize.plan import weights_axis

_COMMUTING = frozenset({"Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"})


@dataclass
class ChannelGroup:
    """Tensors whose channels can only be scaled together, and the contractions at their ends.

    `bound` is that of the Clip among them, infinity without one.
    """

    channels: int
    values: list[ir.Value] = field(default_factory=list)
    writers: list[ir.Node] = field(default_factory=list)
    readers: list[ir.Node] = field(default_factory=list)
    bound: float = math.inf


def channel_groups(graph: ir.Graph) -> list[ChannelGroup]:
    """All groups of `graph` that can be scaled, in order of appearance."""
    seen: set[ir.Value] = set()
    groups = []
    for node in graph:
        if node.outputs[0] not in seen and _is_contraction(node):
            group = _group(node.outputs[0])
            if group is not None and group.readers:
                groups.append(group)
            seen.update(group.values if group else [node.outputs[0]])
    return groups


def _group(start: ir.Value) -> ChannelGroup | None:
    """Everything that must be scaled with `start`; None when something there does not allow it."""
    group = ChannelGroup((static_shape(start) or (0, 0))[1], [start])
    for value in group.values:
        shape = static_shape(value)
        if shape is None or len(shape) < 2 or shape[1] != group.channels or value.is_graph_output():
            return None
        connected = _through_writer(group, value)
        for node, index in value.uses():
            more = _through_reader(group, node, index)
            connected = None if connected is None or more is None else [*connected, *more]
        if connected is None:
            return None
        group.values += [other for other in dict.fromkeys(connected) if other not in group.values]
    return group


def _through_writer(group: ChannelGroup, value: ir.Value) -> list[ir.Value] | None:
    node = value.producer()
    if node is None:
        return None
    if _is_contraction(node):
        group.writers.append(node)
        return []
    return _commutes(group, node)


def _through_reader(group: ChannelGroup, node: ir.Node, index: int) -> list[ir.Value] | None:
    if _is_contraction(node):
        if index != 0:
            return None
        group.readers.append(node)
        return []
    return _commutes(group, node)


def _commutes(group: ChannelGroup, node: ir.Node) -> list[ir.Value] | None:
    """The data that `node` connects when it commutes with factors of channels."""
    if node.domain or len(node.outputs) != 1:
        return None
    source, result = node.inputs[0], node.outputs[0]
    if source is None:
        return None
    if node.op_type == "Add":
        operands = [value for value in node.inputs if value is not None]
        alike = all(static_shape(value) == static_shape(result) for value in operands)
        return [*operands, result] if alike and not any(map(_is_constant, operands)) else None
    if node.op_type == "Clip":
        least, greatest = (scalar(value) for value in (*node.inputs[1:], None, None)[:2])
        if least != 0.0 or greatest is None:
            return None
        group.bound = min(group.bound, greatest)
        return [source, result]
    kept = node.op_type in _COMMUTING or (node.op_type == "Pad" and _pads_space(node))
    return [source, result] if kept or _flattens(node) else None


def _is_constant(value: ir.Value) -> bool:
    return constant_of(value) is not None


def _pads_space(node: ir.Node) -> bool:
    pads = constant_of(node.inputs[1]) if len(node.inputs) == 3 else None
    if padding_of(node) != 0.0 or pads is None:
        return False
    rank = len(pads) // 2
    return not any(int(pads[axis]) for axis in (0, 1, rank, rank + 1))


def _flattens(node: ir.Node) -> bool:
    """A Reshape between [N, C] and [N, C, 1, 1]."""
    before, after = static_shape(node.inputs[0]) or (), static_shape(node.outputs[0]) or ()
    return node.op_type == "Reshape" and before[:2] == after[:2] and {1} >= {*before[2:], *after[2:]}


def _is_contraction(node: ir.Node) -> bool:
    """A Conv or Gemm with constants that nobody else reads."""
    if node.op_type not in ("Conv", "Gemm") or node.domain or weights_axis(node) is None:
        return False
    constants = [value for value in node.inputs[1:] if value is not None]
    if node.op_type == "Gemm" and node.attributes.get_int("transA", 0) == 1:
        return False
    return all(_is_constant(value) and len(value.uses()) == 1 for value in constants)
