"""Remove whole layers: what reads a layer's result reads its operand instead.

before                                   after remove_layer("add")
    add = Add(x, Conv(Relu(Conv(x))))        readers of add read x

A layer can go when its result has the shape of one of its operands. Of a residual sum, the branch goes and
the shortcut stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError, did_you_mean
from edgecompile.passes.edit import constant_of, replace_value, static_shape
from edgecompile.passes.rewriting import finish


@dataclass(frozen=True)
class Block:
    """A residual block: the sum that ends it, and the nodes that go with it, in the network's order."""

    name: str
    nodes: tuple[str, ...]


def residual_blocks(model: Model) -> tuple[Block, ...]:
    """The blocks whose shortcut passes a tensor on as it is, so that `remove_layer` can remove them."""
    nodes = list(model.graph.graph)
    blocks = []
    for node in nodes:
        shortcut = _shortcut(node) if node.op_type == "Add" and not node.domain else None
        if shortcut is not None:
            gone = _only_for(node, shortcut)
            blocks.append(Block(str(node.name), tuple(str(other.name) for other in nodes if other in gone)))
    return tuple(blocks)


def remove_layer(model: Model, name: str) -> Model:
    """A copy of `model` without the node `name` and all that only it needed.

    Raises UnsupportedError: EC4531 when there is no such node, EC4532 when no operand can take its place.
    """
    result = model.copy()
    node = node_named(result, name)
    operand = _shortcut(node) or _same_operand(node)
    if operand is None:
        raise UnsupportedError(_cannot_go(model, node))
    replace_value(node.outputs[0], operand, node)
    return finish(result, 1, f"layer '{name}' removed").model.with_notes(f"layer '{name}' removed")


def node_named(model: Model, name: str) -> ir.Node:
    """The node called `name`; raises UnsupportedError (EC4531) when there is none."""
    nodes = {str(node.name): node for node in model.graph.graph}
    if name not in nodes:
        fix = did_you_mean(name, list(nodes)) if len(nodes) < 40 else did_you_mean(name, [*nodes][:40])
        raise UnsupportedError(Problem("EC4531", "the network has no layer of that name", name, "", fix))
    return nodes[name]


def _cannot_go(model: Model, node: ir.Node) -> Problem:
    operands = ", ".join(
        describe(value) for value in node.inputs if value is not None and constant_of(value) is None
    )
    why = f"it makes {describe(node.outputs[0])} of {operands or 'constants'}"
    blocks = ", ".join(block.name for block in residual_blocks(model))
    fix = f"remove a layer whose result has the shape of its operand; blocks that can go: {blocks or 'none'}"
    return Problem("EC4532", "the layer cannot be removed", str(node.name), why, fix)


def describe(value: ir.Value) -> str:
    """Name, element type and shape of `value`, for messages."""
    dtype = value.dtype.numpy().name if value.dtype is not None else "?"
    return f"'{value.name}' {dtype}{list(static_shape(value) or ())}"


def _fits(value: ir.Value, node: ir.Node) -> bool:
    result = node.outputs[0]
    return static_shape(value) == static_shape(result) and value.dtype == result.dtype


def _same_operand(node: ir.Node) -> ir.Value | None:
    """The only operand that is computed, if it can stand for the result of `node`."""
    operands = [value for value in node.inputs if value is not None and constant_of(value) is None]
    only = len(operands) == 1 and not any(
        value.uses() or value.is_graph_output() for value in node.outputs[1:]
    )
    return operands[0] if only and _fits(operands[0], node) else None


def _shortcut(node: ir.Node) -> ir.Value | None:
    """The operand of a sum from which the other one is computed."""
    operands = [value for value in node.inputs if value is not None]
    if node.op_type != "Add" or node.domain or any(constant_of(value) is not None for value in operands):
        return None
    for value, other in (operands, operands[::-1]):
        if value is not other and _fits(value, node) and value in _sources(other):
            return value
    return None


def _sources(value: ir.Value) -> set[ir.Value]:
    """All that `value` is computed from."""
    found: set[ir.Value] = set()
    pending = [value]
    while pending:
        node = pending.pop().producer()
        new = [source for source in (node.inputs if node is not None else ()) if source is not None]
        pending += [source for source in new if source not in found]
        found.update(new)
    return found


def _only_for(node: ir.Node, shortcut: ir.Value) -> set[ir.Node]:
    """`node` and the nodes that nothing else needs when `shortcut` takes its place."""
    gone = {node}
    pending = [node]
    while pending:
        for value in pending.pop().inputs:
            producer = value.producer() if value is not None else None
            if value is shortcut or producer is None or producer in gone:
                continue
            outputs = producer.outputs
            needed = any(out.is_graph_output() or out is shortcut for out in outputs)
            if not needed and all(user in gone for out in outputs for user in out.consumers()):
                gone.add(producer)
                pending.append(producer)
    return gone
