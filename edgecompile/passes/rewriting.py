"""The frame of a peephole pass: try rules on every node, edit in place, leave nothing dead behind.

A rule looks at one node, changes the graph around it if it wants to, and says whether it did. Rules use
the edits below, which keep three things true: value names are unique, every new value has a static shape
and a dtype, and a node without readers is gone at once, so that "the only reader" can be trusted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import onnx_ir as ir

from edgecompile.core.fused import ACTIVATIONS, declare_functions
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import replace_value, static_shape
from edgecompile.passes.matching import only_reader

Rule = Callable[[ir.Node], bool]
Attributes = Mapping[str, Any]


def rewrite_nodes(model: Model, what: str, *rules: Rule) -> PassResult:
    """Try `rules` in order on every node of the main graph, in topological order; the first that acts wins.

    `what` begins the note in the report, e.g. "Pad nodes merged into convolutions: 3".
    """
    graph = model.graph.graph
    count = 0
    for node in list(graph):
        if node.graph is graph and any(rule(node) for rule in rules):
            count += 1
    return finish(model, count, what)


def finish(model: Model, count: int, what: str) -> PassResult:
    """The result of a pass that made `count` changes: what is unused goes, fused operators are declared."""
    if not count:
        return PassResult(model, False)
    graph = model.graph.graph
    for node in reversed(list(graph)):
        if node.graph is graph:
            sweep(node.outputs[0])
    unused = [name for name, value in graph.initializers.items() if not _needed(value)]
    for name in unused:
        del graph.initializers[name]
    declare_functions(model.graph)
    return PassResult(model, True, (f"{what}: {count}",))


def insert(
    before: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Attributes | None = None,
    *,
    shape: Sequence[int],
    dtype: ir.DataType | None = None,
    domain: str = "",
) -> ir.Value:
    """Add a node of one output in front of `before`, of `shape` and, by default, the type of input 0."""
    graph = graph_of(before)
    dtype = dtype or (inputs[0].dtype if inputs and inputs[0] is not None else None)
    assert dtype is not None
    name = _unique_name(graph, f"{before.outputs[0].name}/{op_type}")
    given = ir.convenience.convert_attributes(attributes or {})
    node = ir.Node(domain, op_type, inputs, given, name=name)
    result = node.outputs[0]
    result.name, result.shape, result.type = name, ir.Shape(shape), ir.TensorType(dtype)
    graph.insert_before(before, node)
    return result


def become(
    node: ir.Node,
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Attributes | None = None,
    domain: str = "",
) -> None:
    """Turn `node` into another operator in place; its name and outputs stay, unread producers go."""
    old = [value for value in node.inputs if value is not None]
    node.op_type, node.domain = op_type, domain
    node.resize_inputs(len(inputs))
    for position, value in enumerate(inputs):
        node.replace_input_with(position, value)
    node.attributes.clear()
    for attribute in ir.convenience.convert_attributes(attributes or {}):
        node.attributes.add(attribute)
    for value in old:
        sweep(value)


def forward(node: ir.Node, value: ir.Value) -> None:
    """Make all readers of the single result of `node` read `value`, and remove `node`."""
    replace_value(node.outputs[0], value)
    sweep(node.outputs[0])


def carry(node: ir.Node, values: Sequence[ir.Value]) -> tuple[list[ir.Value], ir.Node]:
    """Compute what follows `node` on `values`, which together hold the elements of its result in some order.

    That are activations and a QuantizeLinear of one scale, while nobody else reads their operand. Returns the
    last results, and the node whose result they replace. New nodes are named after those that they replace.
    """
    moved = list(values)
    _take_name(moved, node)
    while (follower := _elementwise_reader(node)) is not None:
        for i, value in enumerate(moved):
            shape, dtype = static_shape(value) or (), follower.outputs[0].dtype
            operands = [value, *follower.inputs[1:]]
            moved[i] = insert(
                follower, follower.op_type, operands, follower.attributes, shape=shape, dtype=dtype
            )
        _take_name(moved, follower)
        node = follower
    return moved, node


def _take_name(values: Sequence[ir.Value], old: ir.Node) -> None:
    name, old.name = old.name, f"{old.name}/result"
    for i, value in enumerate(values):
        new = value.producer()
        assert new is not None
        new.name = name if len(values) == 1 else f"{name}/{i}"


def _elementwise_reader(node: ir.Node) -> ir.Node | None:
    reader = only_reader(node.outputs[0])
    if reader is None or reader.domain or reader.inputs[0] is not node.outputs[0]:
        return None
    has_one_scale = reader.op_type == "QuantizeLinear" and static_shape(reader.inputs[1]) in ((), (1,))
    return reader if reader.op_type in ACTIVATIONS or has_one_scale else None


def sweep(value: ir.Value) -> None:
    """Remove the producer of `value` when nobody reads any of its outputs, then likewise its inputs."""
    pending = [value]
    while pending:
        node = pending.pop().producer()
        if node is None or node.graph is None or any(_needed(output) for output in node.outputs):
            continue
        pending += [source for source in node.inputs if source is not None]
        graph_of(node).remove(node, safe=True)


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that `node` is in; passes never meet a node outside of one."""
    assert isinstance(node.graph, ir.Graph)
    return node.graph


def opset_of(node: ir.Node) -> int:
    """The version of ONNX's own operators where `node` is."""
    return graph_of(node).opset_imports[""]


def _needed(value: ir.Value) -> bool:
    return value.is_graph_output() or value.is_graph_input() or bool(value.uses())


def _unique_name(graph: ir.Graph, hint: str) -> str:
    taken = {value.name for node in graph for value in node.outputs}
    taken.update(graph.initializers, (value.name for value in graph.inputs))
    name, index = hint, 1
    while name in taken:
        index += 1
        name = f"{hint}_{index}"
    return name
