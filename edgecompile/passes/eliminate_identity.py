"""Remove nodes that return their input unchanged.

before                              after
    a = Dropout(x)                      y = Relu(x)
    b = Reshape(a, [1, 8])  # is [1, 8]
    y = Relu(Mul(b, 1.0))

Each rule looks at one node and returns the value that the node's first output equals, or None.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import (
    Array,
    add_initializer,
    constant_of,
    remove_node,
    replace_value,
    static_shape,
)

Rule = Callable[[ir.Node], "ir.Value | None"]


class EliminateIdentity:
    """An Identity stays only where a graph output would otherwise be a graph input or a constant."""

    name = "eliminate_identity"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        modified = False
        for node in model.graph.graph.all_nodes():
            rule = _RULES.get(node.op_type) if node.domain == "" else None
            same = rule(node) if rule else None
            if same is None or _must_stay(node, same):
                continue
            _drop_dropout_mask(node)
            replace_value(node.outputs[0], same)
            remove_node(node)
            modified = True
        return PassResult(model, modified)


def _must_stay(node: ir.Node, same: ir.Value) -> bool:
    """Whether removing `node` would only put another Identity in its place."""
    if not node.outputs[0].is_graph_output():
        return False
    producer = same.producer()
    moves = producer is not None and producer.graph is node.graph and not same.is_graph_output()
    return not moves and node.op_type == "Identity"


def _drop_dropout_mask(node: ir.Node) -> None:
    """In inference every element is kept: the mask is all true."""
    if len(node.outputs) < 2 or not (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        return
    graph, shape = node.graph, static_shape(node.inputs[0])
    assert graph is not None
    assert shape is not None
    mask = add_initializer(graph, f"{node.name}/mask", np.ones(shape, np.bool_))
    replace_value(node.outputs[1], mask)


def _same_type(node: ir.Node) -> bool:
    """Whether the first output has the static shape and the element type of the first input."""
    source, result = node.inputs[0], node.outputs[0]
    if source is None or static_shape(source) is None or source.dtype is None:
        return False
    return static_shape(source) == static_shape(result) and source.dtype == result.dtype


def _first(node: ir.Node) -> ir.Value | None:
    return node.inputs[0]


def _if_same_type(node: ir.Node) -> ir.Value | None:
    """Reshape, Flatten, Squeeze, Expand, Cast …: nothing happens when nothing changes."""
    return node.inputs[0] if _same_type(node) else None


def _if_single(node: ir.Node) -> ir.Value | None:
    """Concat, Sum, Max, Min, Mean of one tensor."""
    return node.inputs[0] if len(node.inputs) == 1 else None


def _dropout(node: ir.Node) -> ir.Value | None:
    training = node.inputs[2] if len(node.inputs) > 2 else None
    flag = constant_of(training)
    if training is not None and (flag is None or flag.any()):
        return None
    return node.inputs[0] if static_shape(node.inputs[0]) is not None else None


def _transpose(node: ir.Node) -> ir.Value | None:
    shape = static_shape(node.inputs[0])
    if shape is None:
        return None
    order = node.attributes.get_ints("perm", range(len(shape))[::-1])
    return node.inputs[0] if list(order) == list(range(len(shape))) else None


def _pad(node: ir.Node) -> ir.Value | None:
    pads = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    return node.inputs[0] if pads is not None and not pads.any() else None


def _slice(node: ir.Node) -> ir.Value | None:
    """Same shape and no negative step: everything was taken, in order."""
    steps = constant_of(node.inputs[4]) if len(node.inputs) > 4 else None
    backwards = len(node.inputs) > 4 and node.inputs[4] is not None and (steps is None or (steps < 0).any())
    return None if backwards else _if_same_type(node)


def _split(node: ir.Node) -> ir.Value | None:
    return _if_same_type(node) if len(node.outputs) == 1 else None


def _neutral(value: float, sides: tuple[int, ...]) -> Rule:
    """A binary operator that does nothing when the operand at one of `sides` is `value` everywhere."""

    def rule(node: ir.Node) -> ir.Value | None:
        for side in sides:
            operand, other = constant_of(node.inputs[side]), node.inputs[1 - side]
            if operand is None or other is None or not _is_everywhere(operand, value):
                continue
            shape = static_shape(other)
            if shape is not None and shape == static_shape(node.outputs[0]):
                return other
        return None

    return rule


def _is_everywhere(operand: Array, value: float) -> bool:
    return operand.size > 0 and bool((operand == np.array(value, operand.dtype)).all())


_RULES: dict[str, Rule] = {
    "Identity": _first,
    "Dropout": _dropout,
    "Transpose": _transpose,
    "Pad": _pad,
    "Slice": _slice,
    "Split": _split,
    **dict.fromkeys(("Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Tile"), _if_same_type),
    **dict.fromkeys(("Concat", "Sum", "Max", "Min", "Mean"), _if_single),
    "Add": _neutral(0.0, (0, 1)),
    "Sub": _neutral(0.0, (1,)),
    "Mul": _neutral(1.0, (0, 1)),
    "Div": _neutral(1.0, (1,)),
}
