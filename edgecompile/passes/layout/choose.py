"""Choose which nodes work on permuted data, so that the fewest elements are moved.

One permutation at a time. Every node gets a label: its data of that rank is stored as declared, or permuted.
Where a value is read under another label than it was computed, it must be transposed once, at the price of
its size. An operator that gains from the permuted layout (a convolution on channels-last data) pays a price
for staying as it is. This is a labelling with two labels and a submodular cost, so the cheapest is a minimum
cut: D. Greig, B. Porteous, A. Seheult, "Exact Maximum A Posteriori Estimation for Binary Images", 1989.

A Transpose by the inverse permutation already yields permuted data, and one by the permutation itself reads
it: with the right label around them they vanish. So the same cut that places new transposes removes old ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.layout.min_cut import SINK, SOURCE, UNLIMITED, CutGraph
from edgecompile.passes.layout.operators import Permuted, permuted, rank_of
from edgecompile.passes.matching import only_reader, produced_by
from edgecompile.passes.movement import Movement, permutation_of, trace

Shape = tuple[int, ...]

# Prices are in thousandths of an element, so that a free change of shape still costs something.
ELEMENT = 1000
_ALIAS = 1
# Calling one more kernel costs about as much as moving this many elements.
_CALL = 64


@dataclass(frozen=True)
class Choice:
    """Under `perm`, nodes in `changes` compute permuted data and Transposes in `yielding` yield it."""

    perm: Shape
    changes: dict[ir.Node, Permuted]
    yielding: frozenset[ir.Node]


def choose(graph: ir.Graph, perm: Shape, gain: Callable[[ir.Node], int] | None = None) -> Choice | None:
    """The cheapest choice for `perm`, None when nothing is cheaper than the graph as it is.

    `gain` is what a node that can be channels-last gains by it, in elements; None allows no such nodes.
    """
    problem = _Problem(graph, perm, gain)
    if not problem.vertices:
        return None
    cost, staying = problem.cut.cut()
    if cost >= problem.cost_of_staying:
        return None
    changes = {node: plan for node, plan in problem.plans.items() if problem.vertices[node] not in staying}
    yielding = [node for node, vertex in problem.produces.items() if vertex not in staying]
    return Choice(perm, changes, frozenset(yielding)) if changes or yielding else None


def inverse(perm: Shape) -> Shape:
    """The permutation that undoes `perm`."""
    return tuple(perm.index(axis) for axis in range(len(perm)))


class _Problem:
    """The cut problem: labels of nodes are sides, the source's side being "as declared"."""

    def __init__(self, graph: ir.Graph, perm: Shape, gain: Callable[[ir.Node], int] | None) -> None:
        self.graph, self.perm, self.cut = graph, perm, CutGraph()
        self.plans: dict[ir.Node, Permuted] = {}
        self.vertices: dict[ir.Node, int] = {}
        # label under which a Transpose reads and yields
        self.reads: dict[ir.Node, int | None] = {}
        self.produces: dict[ir.Node, int] = {}
        # what the labelling costs in which every node stays as it is
        self.cost_of_staying = 0
        for node in graph:
            plan = permuted(node, perm, gain is not None)
            if plan is not None:
                self.plans[node] = plan
                self.vertices[node] = self.cut.add_vertex()
                price = ELEMENT * gain(node) if gain and plan.op_type else 0
                self.cut.add_edge(self.vertices[node], SINK, price)
                self.cost_of_staying += price
        self._label_transposes()
        for value in [*graph.inputs, *(output for node in graph for output in node.outputs)]:
            self._price_value(value)
        for node in self.vertices:
            self._price_small_operands(node)

    def _label_transposes(self) -> None:
        """Transposes by the inverse yield permuted data, those by perm itself read it; others do not care.

        Where perm is its own inverse, they take turns along the data flow.
        """
        turned: set[ir.Value] = set()
        for node in self.graph:
            source = node.inputs[0] if node.inputs else None
            if node.op_type != "Transpose" or node.domain or rank_of(node) != len(self.perm):
                if node in self.vertices and source in turned:
                    turned.update(node.outputs)
                continue
            own = permutation_of(node)
            reads = own == self.perm and (own != inverse(self.perm) or source in turned)
            if reads:
                self.reads[node], self.produces[node] = SINK, SOURCE
            elif own == inverse(self.perm):
                self.reads[node], self.produces[node] = SOURCE, SINK
                turned.update(node.outputs)
            else:
                self.reads[node], self.produces[node] = None, self.cut.add_vertex()

    def _price_value(self, value: ir.Value) -> None:
        shape = static_shape(value)
        if shape is None or len(shape) != len(self.perm) or 0 in shape:
            return
        producer = value.producer()
        price = _ALIAS if _is_moved(value) else _price(shape, self.perm)
        origin = self._producing(producer) if producer is not None else SOURCE
        readers = {self._reading(node, index) for node, index in value.uses()}
        readers |= {SOURCE} if value.is_graph_output() else set()
        labels = sorted(reader for reader in readers if reader is not None and reader != origin)
        if SINK in (origin, *labels) and labels:
            self.cost_of_staying += price
        if len(labels) == 1:
            self.cut.add_edge(origin, labels[0], price)
            self.cut.add_edge(labels[0], origin, price)
        elif labels:
            self._price_shared(origin, labels, price)

    def _price_shared(self, origin: int, labels: list[int], price: int) -> None:
        """One transposed copy serves all readers that differ from the producer."""
        some_permuted, some_declared = self.cut.add_vertex(), self.cut.add_vertex()
        self.cut.add_edge(origin, some_permuted, price)
        self.cut.add_edge(some_declared, origin, price)
        for label in labels:
            self.cut.add_edge(some_permuted, label, UNLIMITED)
            self.cut.add_edge(label, some_declared, UNLIMITED)

    def _price_small_operands(self, node: ir.Node) -> None:
        """An operand of lower rank that is broadcast must be reshaped and transposed when the node is."""
        for index in self.plans[node].moved:
            value = node.inputs[index]
            shape = static_shape(value)
            if value is None or shape is None or constant_of(value) is not None or math.prod(shape) == 1:
                continue
            if len(shape) < len(self.perm):
                full = (1,) * (len(self.perm) - len(shape)) + shape
                self.cut.add_edge(SOURCE, self.vertices[node], _price(full, self.perm))

    def _producing(self, node: ir.Node) -> int:
        return self.vertices.get(node, self.produces.get(node, SOURCE))

    def _reading(self, node: ir.Node, index: int) -> int | None:
        """The label under which `node` reads input `index`; None when it reads either."""
        if node in self.reads:
            return self.reads[node]
        if _moves_on(node):
            return None
        plan = self.plans.get(node)
        return self.vertices[node] if plan is not None and index in plan.moved else SOURCE


def _is_moved(value: ir.Value) -> bool:
    """Whether `value` is a Reshape of what a Transpose moves: that can as well move it to other places."""
    if produced_by(value, "Reshape") is None:
        return False
    _, moved, chain = trace(value)
    return not moved.is_reshape and all(only_reader(node.outputs[0]) is not None for node in chain[1:])


def _moves_on(node: ir.Node) -> bool:
    """Whether `node` only reshapes a value for a Transpose, which can as well take it from other places."""
    reader = only_reader(node.outputs[0]) if node.op_type == "Reshape" and not node.domain else None
    return reader is not None and reader.op_type == "Transpose" and not reader.domain


def _price(shape: Shape, perm: Shape) -> int:
    """The price of transposing a tensor of `shape`, a token one where that only renames axes."""
    moved = Movement.of(shape).transpose(perm)
    return _ALIAS if moved is not None and moved.is_reshape else ELEMENT * (_CALL + math.prod(shape))
