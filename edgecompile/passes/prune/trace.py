"""The state of a label execution: the label tensor of every value, and who uses which initializers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.prune.groups import Reader, Role, Use
from edgecompile.passes.prune.labels import Labels, spread


class Trace:
    """What the rules in `operators/` read and write while the network is walked through, once, in order.

    `values` has the label tensor of each activation and of each constant that is an operand like one; `axes`
    the labels along an axis of weights; `inexact` labels whose removal changes others, and why; `heads` and
    `hidden` labels whose units are more than channels.
    """

    def __init__(self, opsets: Mapping[str, int]) -> None:
        self.opsets = opsets
        self.labels = Labels()
        self.values: dict[ir.Value, Array] = {}
        self.axes: dict[tuple[ir.Value, int], Array] = {}
        self.uses: list[Use] = []
        self.readers: list[Reader] = []
        self.inexact: list[tuple[Array, str]] = []
        self.heads: list[Array] = []
        self.hidden: list[Array] = []
        self._whole: dict[ir.Value, str] = {}

    def of(self, value: ir.Value | None) -> Array:
        """The labels of a value that an operator reads; those of a constant are new at its first use."""
        assert value is not None
        if value not in self.values:
            self.values[value] = self.labels.fresh(shape_of(value))
        return self.values[value]

    def set(self, value: ir.Value, labels: Array) -> None:
        """Give `value`, the result of a node, its labels."""
        self.values[value] = np.broadcast_to(labels, shape_of(value))

    def carry(self, node: ir.Node, *indices: int) -> None:
        """Note that constants among the inputs `indices` belong to the units of the result."""
        for index in indices:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and constant_of(value) is not None:
                self.uses.append(Use(name_of(node), index, str(value.name), -1, "carried"))

    def weigh(self, node: ir.Node, index: int, axis: int, role: Role, labels: Array) -> None:
        """Tie `labels` to the indices along `axis` of the parameters that input `index` of `node` reads."""
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            return None
        if constant_of(value) is None:
            return self.labels.tie(self.labels.vector(self.of(value), axis), labels)
        known = self.axes.setdefault((value, axis), labels)
        self.labels.tie(known, labels)
        return self.uses.append(Use(name_of(node), index, str(value.name), axis, role))

    def leave_whole(self, value: ir.Value, why: str) -> None:
        """Note that nothing may be cut from `value`, whatever else uses it."""
        if value in self.values:
            self.labels.freeze(self.values[value], why)
        self._whole.setdefault(value, why)

    def stop(self, node: ir.Node, why: str = "") -> None:
        """Freeze all that `node` computes and reads, also in subgraphs: nothing is known about it."""
        why = why or f"nothing is known about cutting {node.op_type} (node '{name_of(node)}')"
        for value in _read_by(node):
            self.leave_whole(value, why)
        for value in node.outputs:
            if value.name and static_shape(value) is not None:
                self.set_whole(value, why)

    def set_whole(self, value: ir.Value, why: str) -> None:
        """Give `value`, of which nothing can be cut, one label."""
        labels = self.labels.fresh((1,) * len(shape_of(value)))
        self.labels.freeze(labels, why)
        self.set(value, labels)

    def finish(self) -> None:
        """Freeze what was left whole, and constants that are operands here and weights there."""
        for value, _ in self.axes:
            if value in self.values:
                self._whole.setdefault(value, f"'{value.name}' is used in two ways")
        for value, why in self._whole.items():
            used = [labels for (owner, _), labels in self.axes.items() if owner is value]
            for labels in [*used, *([self.values[value]] if value in self.values else [])]:
                self.labels.freeze(labels, why)

    def channels(self, node: ir.Node, axis: int = 1) -> Array:
        """The labels along `axis` of input 0; what lies along the other axes is tied."""
        labels = self.of(node.inputs[0])
        varied = self.labels.varying(labels)
        channels = self.labels.vector(labels, axis)
        if varied and not self.labels.varying(channels):
            self.labels.freeze(channels, f"{node.op_type} '{name_of(node)}' mixes all of it")
        return channels

    def set_channels(self, node: ir.Node, labels: Array, axis: int = 1) -> None:
        """Give the first result of `node` the `labels` along `axis`."""
        self.set(node.outputs[0], spread(labels, shape_of(node.outputs[0]), axis))


def shape_of(value: ir.Value | None) -> tuple[int, ...]:
    """The static shape of `value`; canonical graphs have no other."""
    shape = static_shape(value)
    assert shape is not None
    return shape


def name_of(node: ir.Node) -> str:
    """The node's name; canonical graphs have no node without one."""
    return str(node.name)


def extra_outputs_read(node: ir.Node) -> bool:
    """Whether anybody reads another result than the first."""
    return any(value.uses() or value.is_graph_output() for value in node.outputs[1:])


def _read_by(node: ir.Node) -> Iterator[ir.Value]:
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        graphs: Sequence[ir.Graph] = ()
        if attribute.type == ir.AttributeType.GRAPH:
            graphs = [attribute.as_graph()]
        elif attribute.type == ir.AttributeType.GRAPHS:
            graphs = attribute.as_graphs()
        for graph in graphs:
            yield from graph.outputs
            for inner in graph:
                yield from _read_by(inner)
