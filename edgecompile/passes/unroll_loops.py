"""Write out the body of a Loop or Scan once for each iteration, when their number is known and small.

before                                   after
    s, ys = Scan(s0, xs) {                   x0 = Gather(xs, 0); s1 = Add(s0, x0)
        s_out = Add(s, x); y = s_out         x1 = Gather(xs, 1); s2 = Add(s1, x1)
    }                                        s = s2; ys = Concat(Unsqueeze(s1), Unsqueeze(s2))

A loop that data ends, or that would become too many nodes, is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.control_flow import static_trip_count
from edgecompile.passes.edit import add_initializer, remove_node, replace_value, static_shape


class UnrollLoops:
    """Unrolls the loops of the main graph into at most `max_nodes` nodes each.

    Raises UnsupportedError (EC4221) listing every loop that cannot be unrolled.
    """

    name = "unroll_loops"
    tolerance = 0.0

    def __init__(self, max_nodes: int = 4096) -> None:
        self._max_nodes = max_nodes

    def __call__(self, model: Model) -> PassResult:
        problems: list[Problem] = []
        count = 0
        while node := next((n for n in model.graph.graph if _is_loop(n) and not _seen(n, problems)), None):
            problem = self._refusal(node)
            if problem is not None:
                problems.append(problem)
                continue
            (_unroll_loop if node.op_type == "Loop" else _unroll_scan)(node)
            count += 1
        if problems:
            raise UnsupportedError(*problems)
        notes = (f"loops unrolled: {count}",) if count else ()
        return PassResult(model, bool(count), notes)

    def _refusal(self, node: ir.Node) -> Problem | None:
        """Why `node` cannot be unrolled, if so."""
        what, name = f"{node.op_type} cannot be compiled", node.name or ""
        count = static_trip_count(node) if node.op_type == "Loop" else _scan_length(node)
        if count is None:
            why = "the number of iterations is not known at compile time"
            fix = "export the network with a fixed number of iterations, or bind it with --constant"
            return Problem("EC4221", what, name, why, fix)
        nodes = count * sum(1 for _ in _body(node).all_nodes())
        if nodes > self._max_nodes:
            why = f"{count} iterations would become {nodes} nodes, more than {self._max_nodes}"
            return Problem("EC4221", what, name, why, "express it by LSTM, GRU, RNN or CumSum")
        if count == 0 and any(static_shape(value) is None for value in node.outputs):
            return Problem("EC4221", what, name, "it never runs, and its results have no fixed shape")
        return None


def _is_loop(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type in ("Loop", "Scan")


def _seen(node: ir.Node, problems: Sequence[Problem]) -> bool:
    return any(problem.where == node.name for problem in problems)


def _body(node: ir.Node) -> ir.Graph:
    return node.attributes["body"].as_graph()


def _scan_length(node: ir.Node) -> int | None:
    scans = node.attributes["num_scan_inputs"].as_int()
    axes = node.attributes.get_ints("scan_input_axes", [0] * scans)
    shape = static_shape(node.inputs[len(node.inputs) - scans])
    return shape[axes[0]] if shape else None


def _unroll_loop(node: ir.Node) -> None:
    """Loop(M, cond, v...): the body is (iteration, cond, v...) -> (cond, v..., scanned...)."""
    states = _values(node.inputs[2:])
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    condition = add_initializer(graph, f"{node.name}/condition", np.array(True))
    scanned: list[list[ir.Value]] = []
    count = static_trip_count(node) or 0
    for step in range(count):
        iteration = add_initializer(graph, f"{node.name}/{step}/iteration", np.array(step, np.int64))
        results = _insert_body(node, step, [iteration, condition, *states])[1:]
        states = results[: len(states)]
        scanned.append(results[len(states) :])
    stacks = list(zip(*scanned, strict=True))
    _finish(node, states, [_stack(node, values, 0) for values in stacks])


def _unroll_scan(node: ir.Node) -> None:
    """Scan(s..., x...): the body is (s..., element of each x) -> (s..., element of each y)."""
    scans = node.attributes["num_scan_inputs"].as_int()
    inputs = _values(node.inputs)
    states, sources = inputs[: len(inputs) - scans], inputs[len(inputs) - scans :]
    produced = len(node.outputs) - len(states)
    axes = node.attributes.get_ints("scan_input_axes", [0] * scans)
    backwards = node.attributes.get_ints("scan_input_directions", [0] * scans)
    count = _scan_length(node) or 0
    scanned: list[list[ir.Value]] = []
    for step in range(count):
        elements = [
            _element(node, source, count - 1 - step if reverse else step, axis, step)
            for source, axis, reverse in zip(sources, axes, backwards, strict=True)
        ]
        results = _insert_body(node, step, [*states, *elements])
        states = results[: len(states)]
        scanned.append(results[len(states) :])
    out_axes = node.attributes.get_ints("scan_output_axes", [0] * produced)
    reversed_outputs = node.attributes.get_ints("scan_output_directions", [0] * produced)
    stacks = [
        _stack(node, values[::-1] if reverse else values, axis)
        for values, axis, reverse in zip(zip(*scanned, strict=True), out_axes, reversed_outputs, strict=True)
    ]
    _finish(node, states, stacks)


def _values(inputs: Sequence[ir.Value | None]) -> list[ir.Value]:
    """Inputs of a loop; ONNX has no optional ones among its states and scanned tensors."""
    return [value for value in inputs if value is not None]


def _insert_body(node: ir.Node, step: int, arguments: Sequence[ir.Value]) -> list[ir.Value]:
    """Put a copy of the body in front of `node`; returns the values of the body's outputs."""
    copy = _body(node).clone(allow_outer_scope_values=True)
    graph, prefix = node.graph, f"{node.name}/{step}"
    assert isinstance(graph, ir.Graph)
    moved, results = list(copy), list(copy.outputs)
    given = dict(zip(copy.inputs, arguments, strict=True))
    copy.outputs.clear()
    for value in list(copy.initializers.values()):
        del copy.initializers[value.name or ""]
        value.name = f"{prefix}/{value.name}"
        graph.register_initializer(value)
    copy.remove(moved)
    for inner, outer in given.items():
        for user, position in tuple(inner.uses()):
            user.replace_input_with(position, outer)
    for child in moved:
        child.name = f"{prefix}/{child.name}"
        for value in child.outputs:
            value.name = f"{prefix}/{value.name}" if value.name else value.name
    graph.insert_before(node, moved)
    return [given.get(value, value) for value in results]


def _emit(
    node: ir.Node, op_type: str, name: str, inputs: Sequence[ir.Value], shape: Sequence[int], axis: int | None
) -> ir.Value:
    """A node in front of `node`, with one output of `shape` called `name`."""
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    attributes = {} if axis is None else {"axis": axis}
    made = ir.node(op_type, inputs, attributes, name=name, num_outputs=1)
    result = made.outputs[0]
    result.name, result.shape, result.type = name, ir.Shape(shape), inputs[0].type
    graph.insert_before(node, made)
    return result


def _element(node: ir.Node, source: ir.Value, index: int, axis: int, step: int) -> ir.Value:
    """Element `index` of a scanned input along `axis`."""
    graph, shape = node.graph, list(static_shape(source) or ())
    assert isinstance(graph, ir.Graph)
    name = f"{node.name}/{step}/{source.name}"
    position = add_initializer(graph, f"{name}/index", np.array(index, np.int64))
    del shape[axis]
    return _emit(node, "Gather", name, [source, position], shape, axis)


def _stack(node: ir.Node, values: Sequence[ir.Value], axis: int) -> ir.Value:
    """All iterations' values behind each other along a new axis."""
    graph, shape = node.graph, list(static_shape(values[0]) or ())
    assert isinstance(graph, ir.Graph)
    axis %= len(shape) + 1
    stem = f"{node.name}/stack/{values[0].name}"
    where = add_initializer(graph, f"{stem}/axis", np.array([axis], np.int64))
    single, whole = ([*shape[:axis], extent, *shape[axis:]] for extent in (1, len(values)))
    parts = [
        _emit(node, "Unsqueeze", f"{stem}/{i}", [value, where], single, None)
        for i, value in enumerate(values)
    ]
    return _emit(node, "Concat", stem, parts, whole, axis)


def _finish(node: ir.Node, states: Sequence[ir.Value], stacks: Sequence[ir.Value]) -> None:
    """Let the readers of the loop read what it came to."""
    for old, new in zip(node.outputs, [*states, *stacks], strict=False):
        replace_value(old, new, node)
    remove_node(node)
