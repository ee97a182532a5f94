"""Operators that only move elements (or choose among them), and so do to integers what they do to reals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from edgecompile.core.fused import DOMAIN, FusedOp, base_attributes
from edgecompile.passes.edit import constant_of, static_shape

# Reduced to the greatest or least element, which is that integer as well: scales are positive.
_CHOOSING = frozenset({"MaxPool", "GlobalMaxPool", "ReduceMax", "ReduceMin"})
_MOVING = frozenset(
    """
    Concat DepthToSpace Expand Flatten Gather GatherElements Identity Pad Reshape Resize ReverseSequence
    Slice SpaceToDepth Squeeze Tile Transpose Unsqueeze
    """.split()
)


def is_move(node: ir.Node) -> bool:
    """Whether `node` moves elements, whatever their type; it may apply an activation afterwards."""
    op = FusedOp.of(node)
    if op is None or op.base not in _MOVING | _CHOOSING or len(node.outputs) > 1:
        return False
    attributes = node.attributes
    if op.base == "Pad":
        return attributes.get_string("mode", "constant") != "constant" or _pad_value(node) is not None
    if op.base == "Resize":
        outside = attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
        return attributes.get_string("mode", "nearest") == "nearest" and not outside
    return op.base != "GlobalMaxPool" or static_shape(node.inputs[0]) is not None


def data_inputs(node: ir.Node) -> Sequence[int]:
    """The inputs of a move that hold elements, except the value of a padding."""
    return range(len(node.inputs)) if node.op_type == "Concat" else (0,)


def padding_of(node: ir.Node) -> float | None:
    """The number that a Pad with constant padding writes; None for other moves."""
    constant = node.op_type == "Pad" and node.attributes.get_string("mode", "constant") == "constant"
    return _pad_value(node) if constant else None


def on_integers(node: ir.Node) -> tuple[str, str, dict[str, Any]]:
    """(operator, domain, attributes) of the move without its activation, as it exists for integers."""
    op = FusedOp.of(node)
    assert op is not None
    attributes: dict[str, Any] = dict(base_attributes(node))
    base = op.base
    if base == "GlobalMaxPool":
        shape = static_shape(node.inputs[0]) or ()
        base = "MaxPool"
        attributes = {"kernel_shape": shape[1:-1] if op.layout == "nhwc" else shape[2:]}
    domain = DOMAIN if op.layout == "nhwc" else ""
    return FusedOp(base, "", op.layout).name, domain, attributes


def _pad_value(node: ir.Node) -> float | None:
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return 0.0
    array = constant_of(value)
    return None if array is None or array.size != 1 else float(array.item())
