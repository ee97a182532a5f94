"""Carry out a choice of layout: change the nodes, transpose where a value is needed the other way."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import DOMAIN
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.layout.choose import Choice, inverse
from edgecompile.passes.layout.operators import Permuted
from edgecompile.passes.movement import Movement, emit, permutation_of
from edgecompile.passes.rewriting import become, forward, insert

Shape = tuple[int, ...]


def apply(graph: ir.Graph, choice: Choice) -> None:
    """Rewrite `graph` as `choice` says. Transposes that became needless are left without readers."""
    _Application(graph, choice).run()


class _Application:
    """`declared` and `permuted` say where a value is to be found in either layout, once it was asked for."""

    def __init__(self, graph: ir.Graph, choice: Choice) -> None:
        self.graph, self.choice, self.perm = graph, choice, choice.perm
        self.declared: dict[ir.Value, ir.Value] = {}
        self.permuted: dict[ir.Value, ir.Value] = {}

    def run(self) -> None:
        borders = [self._guard(value) for value in dict.fromkeys(self.graph.outputs) if self._computed(value)]
        for node in list(self.graph):
            if self._is_affected(node):
                self._transpose(node)
            elif node in self.choice.changes:
                self._change(node, self.choice.changes[node])
            else:
                self._read_as_declared(node, node)
            for inner in _inner_nodes(node):
                self._read_as_declared(inner, node)
        for identity in borders:
            source = identity.inputs[0]
            assert source is not None
            forward(identity, source)

    def _computed(self, value: ir.Value) -> bool:
        return value.producer() is not None and self._has_rank(value)

    def _guard(self, value: ir.Value) -> ir.Node:
        """An Identity in front of a graph output: outputs are read as declared, like by any other node."""
        identity = ir.node("Identity", [value], name=f"{value.name}/border")
        result = identity.outputs[0]
        result.shape, result.type = value.shape, value.type
        self.graph.append(identity)
        result.name, value.name = value.name, f"{value.name}/inner"
        self.graph.outputs[list(self.graph.outputs).index(value)] = result
        return identity

    def _read_as_declared(self, node: ir.Node, before: ir.Node) -> None:
        for index, value in enumerate(node.inputs):
            declared = self._as_declared(before, value)
            if declared is not value:
                node.replace_input_with(index, declared)

    def _change(self, node: ir.Node, plan: Permuted) -> None:
        inputs: list[ir.Value | None] = [
            self._as_permuted(node, value) if index in plan.moved else self._as_declared(node, value)
            for index, value in enumerate(node.inputs)
        ]
        for index, numbers in plan.constants.items():
            inputs += [None] * (index + 1 - len(inputs))
            name = f"{node.outputs[0].name}/input_{index}"
            inputs[index] = add_initializer(self.graph, name, np.array(numbers, np.int64))
        op_type, domain = (plan.op_type, DOMAIN) if plan.op_type else (node.op_type, node.domain)
        become(node, op_type, inputs, {**node.attributes, **plan.attributes}, domain)
        for value in node.outputs:
            shape = static_shape(value)
            if shape is not None and len(shape) == len(self.perm):
                value.shape = ir.Shape([shape[axis] for axis in self.perm])
                self.permuted[value] = value

    def _is_affected(self, node: ir.Node) -> bool:
        """Whether `node` is a Transpose of a value that is not, or shall not be, as declared."""
        shape = static_shape(node.outputs[0])
        if node.op_type != "Transpose" or node.domain or shape is None or len(shape) != len(self.perm):
            return False
        return 0 not in shape and (node in self.choice.yielding or node.inputs[0] in self.permuted)

    def _transpose(self, node: ir.Node) -> None:
        """Compose a Transpose with the layouts around it; often nothing is left of it."""
        source, result = node.inputs[0], node.outputs[0]
        assert source is not None
        after = [permutation_of(node), *([self.perm] if node in self.choice.yielding else [])]
        options: list[tuple[ir.Value, Movement]] = []
        if source in self.permuted:
            options.append(_composed(self.permuted[source], [inverse(self.perm), *after]))
        if source in self.declared or source not in self.permuted:
            options.append(_composed(self.declared.get(source, source), after))
        stored, moved = min(options, key=lambda option: not option[1].is_reshape)
        place = self.permuted if node in self.choice.yielding else self.declared
        place[result] = emit(node, stored, moved)

    def _as_declared(self, before: ir.Node, value: ir.Value | None) -> ir.Value | None:
        if value is None or value in self.declared or value not in self.permuted:
            return self.declared.get(value, value) if value is not None else None
        stored = self.permuted[value]
        self.declared[value] = self._moved(before, stored, static_shape(stored) or (), inverse(self.perm))
        return self.declared[value]

    def _as_permuted(self, before: ir.Node, value: ir.Value | None) -> ir.Value | None:
        """`value` with permuted axes; a broadcast operand of lower rank gets leading axes of size 1."""
        if value is None or value in self.permuted:
            return self.permuted[value] if value is not None else None
        shape = static_shape(value)
        if shape is None or (int(np.prod(shape)) == 1 and len(shape) < len(self.perm)):
            return value
        full = (1,) * (len(self.perm) - len(shape)) + shape
        array = constant_of(value)
        if array is not None:
            moved = np.transpose(array.reshape(full), self.perm)
            self.permuted[value] = add_initializer(self.graph, f"{value.name}/permuted", moved, value)
        else:
            declared = self._as_declared(before, value)
            assert declared is not None
            self.permuted[value] = self._moved(before, declared, full, self.perm)
        self.declared.setdefault(value, value)
        return self.permuted[value]

    def _moved(self, before: ir.Node, value: ir.Value, shape: Shape, perm: Shape) -> ir.Value:
        """Transpose(Reshape(value, shape), perm)."""
        moved = Movement.of(shape).transpose(perm) if 0 not in shape else None
        if moved is not None:
            return emit(before, value, moved)
        return insert(before, "Transpose", [value], {"perm": perm}, shape=[shape[axis] for axis in perm])

    def _has_rank(self, value: ir.Value) -> bool:
        return len(static_shape(value) or ()) == len(self.perm)


def _inner_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """The nodes in graphs that `node` holds (branches, loop bodies); they may read values from outside."""
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            yield from attribute.as_graph().all_nodes()
        elif attribute.type == ir.AttributeType.GRAPHS:
            for graph in attribute.as_graphs():
                yield from graph.all_nodes()


def _composed(value: ir.Value, perms: list[Shape]) -> tuple[ir.Value, Movement]:
    """`value` and the movement of all `perms`, one after the other."""
    moved = Movement.of(static_shape(value) or ())
    for perm in perms:
        step = moved.transpose(perm)
        assert step is not None  # a chain of transposes without reshapes always aligns
        moved = step
    return value, moved
