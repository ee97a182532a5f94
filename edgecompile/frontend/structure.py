"""Is the graph a graph? Names that resolve, single assignment, no cycles, bounded size.

Works on the protobuf message in plain Python, before any native code walks it. ONNX requires nodes in
topological order (IR specification, "Graphs"); files that only break that rule are put in order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import onnx
from google.protobuf.message import Message  # type: ignore[import-untyped]

from edgecompile.errors import InputError, Problem
from edgecompile.frontend.limits import MAX_GRAPH_DEPTH, MAX_NODES

_MOST_PROBLEMS = 50
Operator = tuple[str, str, str]


def check_structure(model: onnx.ModelProto) -> tuple[str, ...]:
    """Raise InputError with every structural problem; reorder nodes where needed and return notes.

    EC3111 undefined name, EC3112 name defined twice, EC3113 cycle, EC3114 nested too deeply, EC3115 too many
    nodes, EC3116 a function that calls itself.
    """
    checker = _Checker()
    checker.check_graph(model.graph, frozenset(), 0)
    for function in model.functions:
        scope = _Scope(function.node, list(function.input), [], list(function.output), function.name)
        checker.check_scope(scope, frozenset(), 0)
    if not checker.problems:
        checker.problems.extend(_check_size(model))
    if checker.problems:
        raise InputError(*checker.problems[:_MOST_PROBLEMS])
    return tuple(checker.notes)


def check_text(message: Message) -> None:
    """Raise InputError (EC3109) when a name or text anywhere in `message` is not UTF-8."""
    for field_, value in message.ListFields():
        if field_.type == field_.TYPE_STRING:
            texts = [value] if isinstance(value, str | bytes) else value
            bad = next((text for text in texts if isinstance(text, bytes)), None)
            if bad is not None:
                why = f"{bad!r} in field '{field_.name}'"
                raise InputError(Problem("EC3109", "the file holds text that is not UTF-8", "", why))
        elif field_.type == field_.TYPE_MESSAGE:
            for child in [value] if isinstance(value, Message) else value:
                check_text(child)


def subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs held in attributes of `node` (If, Loop, Scan, SequenceMap)."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def all_nodes(nodes: Sequence[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """`nodes` and the nodes of their subgraphs."""
    for node in nodes:
        yield node
        for graph in subgraphs(node):
            yield from all_nodes(graph.node)


def label(node: onnx.NodeProto) -> str:
    """What to call `node` in messages: its name, else its first output."""
    return node.name or next((name for name in node.output if name), node.op_type)


@dataclass(frozen=True)
class _Scope:
    """A graph or function: `nodes` is the message's own list, so that it can be put in order."""

    nodes: Sequence[onnx.NodeProto]
    inputs: list[str]
    initializers: list[str]
    outputs: list[str]
    name: str

    @cached_property
    def produced(self) -> list[str]:
        return [name for node in self.nodes for name in node.output if name]


@dataclass
class _Checker:
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check_graph(self, graph: onnx.GraphProto, outer: frozenset[str], depth: int) -> None:
        sparse = [tensor.values.name for tensor in graph.sparse_initializer]
        inputs, outputs = [v.name for v in graph.input], [v.name for v in graph.output]
        weights = [tensor.name for tensor in graph.initializer] + sparse
        self.check_scope(_Scope(graph.node, inputs, weights, outputs, graph.name), outer, depth)
        if depth and not self.problems:
            _copy_captured_outputs(graph)

    def check_scope(self, scope: _Scope, outer: frozenset[str], depth: int) -> None:
        if depth > MAX_GRAPH_DEPTH:
            why = f"more than {MAX_GRAPH_DEPTH} levels"
            self.problems.append(Problem("EC3114", "subgraphs are nested too deeply", scope.name, why))
            return
        self._check_unique(scope)
        known = outer.union(scope.inputs, scope.initializers, scope.produced)
        self._check_defined(scope, known)
        for node in scope.nodes:
            for graph in subgraphs(node):
                self.check_graph(graph, known, depth + 1)
        if not self.problems:
            self._order(scope)

    def _check_unique(self, scope: _Scope) -> None:
        counts = Counter(scope.produced) + Counter(set(scope.inputs) | set(scope.initializers))
        counts += Counter(scope.inputs) - Counter(set(scope.inputs))
        counts += Counter(scope.initializers) - Counter(set(scope.initializers))
        for name, count in counts.items():
            if count > 1:
                why = f"{count} nodes, inputs or initializers define it; ONNX allows one"
                self.problems.append(Problem("EC3112", f"tensor '{name}' is defined twice", name, why))

    def _check_defined(self, scope: _Scope, known: frozenset[str]) -> None:
        reason = "no input, initializer or node defines it"
        fix = "export the model again with its weights"
        for node in scope.nodes:
            for index, name in enumerate(node.input):
                if name and name not in known:
                    what = f"input {index} of {node.op_type} is '{name}', which does not exist"
                    self.problems.append(Problem("EC3111", what, label(node), reason, fix))
        for name in scope.outputs:
            if name not in known:
                what = f"output '{name}' of graph '{scope.name}' does not exist"
                self.problems.append(Problem("EC3111", what, name, reason, fix))

    def _order(self, scope: _Scope) -> None:
        order = _topological_order(scope.nodes)
        if len(order) < len(scope.nodes):
            placed = set(order)
            stuck = [label(node) for index, node in enumerate(scope.nodes) if index not in placed]
            why = f"{len(stuck)} nodes wait for their own results: {', '.join(stuck[:8])}"
            self.problems.append(Problem("EC3113", f"graph '{scope.name}' has a cycle", stuck[0], why))
        elif order != list(range(len(order))):
            nodes = [onnx.NodeProto.FromString(scope.nodes[i].SerializeToString()) for i in order]
            for target, node in zip(scope.nodes, nodes, strict=True):
                target.CopyFrom(node)
            self.notes.append(f"the nodes of graph '{scope.name}' were not in topological order; sorted")


def _copy_captured_outputs(graph: onnx.GraphProto) -> None:
    """A body may return a tensor of the graph around it: an Identity makes every output its own."""
    own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
    own |= {name for node in graph.node for name in node.output}
    for value in graph.output:
        if value.name not in own:
            copy = f"{value.name}/{graph.name}"
            graph.node.add(op_type="Identity", input=[value.name], output=[copy])
            value.name = copy


def _reads(node: onnx.NodeProto) -> set[str]:
    """Names that `node` needs from its scope, those captured by its subgraphs included."""
    names = {name for name in node.input if name}
    for graph in subgraphs(node):
        inner = {name for child in graph.node for name in _reads(child)} | {v.name for v in graph.output}
        own = {v.name for v in graph.input} | {t.name for t in graph.initializer}
        names |= inner - own - {name for child in graph.node for name in child.output}
    return names


def _topological_order(nodes: Sequence[onnx.NodeProto]) -> list[int]:
    """Indices of `nodes` in topological order, the file's order kept where it is valid (Kahn's algorithm).

    Nodes on or behind a cycle are absent.
    """
    producer = {name: index for index, node in enumerate(nodes) for name in node.output if name}
    needs = [{producer[name] for name in _reads(node) if name in producer} for node in nodes]
    users: list[list[int]] = [[] for _ in nodes]
    for index, sources in enumerate(needs):
        for source in sources:
            users[source].append(index)
    ready = [index for index, sources in enumerate(needs) if not sources]
    order: list[int] = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for user in users[index]:
            needs[user].discard(index)
            if not needs[user]:
                heapq.heappush(ready, user)
    return order


def _check_size(model: onnx.ModelProto) -> Iterator[Problem]:
    """Nodes after all functions are expanded; a few nested functions can stand for billions."""
    functions: dict[Operator, onnx.FunctionProto] = {
        (f.domain, f.name, f.overload): f for f in model.functions
    }
    sizes: dict[Operator, int] = {}

    def size(nodes: Sequence[onnx.NodeProto], stack: tuple[Operator, ...]) -> int:
        total = 0
        for node in all_nodes(nodes):
            key = (node.domain, node.op_type, node.overload)
            total += 1
            if key not in functions:
                continue
            if key in stack or len(stack) > MAX_GRAPH_DEPTH:
                raise _RecursiveFunction(node.op_type)
            if key not in sizes:
                sizes[key] = size(functions[key].node, (*stack, key))
            total += sizes[key]
        return total

    try:
        nodes = size(model.graph.node, ())
    except _RecursiveFunction as error:
        why = "functions must not call themselves, and nest at most 16 deep"
        yield Problem("EC3116", f"function '{error}' calls itself or nests too deeply", str(error), why)
        return
    if nodes > MAX_NODES:
        why = f"{nodes} nodes once functions are expanded, at most {MAX_NODES} are allowed"
        yield Problem("EC3115", "the graph is too large", model.graph.name, why)


class _RecursiveFunction(Exception):
    pass
