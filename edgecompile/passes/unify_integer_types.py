"""Give all quantized activations the element type that the target computes with.

before: x -> QuantizeLinear(zero point 128, uint8) -> DequantizeLinear(zero point 128) -> y
after:  x -> QuantizeLinear(zero point 0, int8) -> DequantizeLinear(zero point 0) -> y

The integers and their zero point move by 128 together, so the real numbers stay what they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of
from edgecompile.passes.integer.moves import data_inputs, is_move, padding_of
from edgecompile.passes.integer.quantized import described
from edgecompile.passes.rewriting import become, finish, graph_of

IntegerType = Literal["int8", "uint8"]

_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)


class UnifyIntegerTypes:
    """Inner activations become `inner`, those that are the network's input or output `border`."""

    name = "unify_integer_types"
    tolerance = 0.0

    def __init__(self, inner: IntegerType, border: IntegerType) -> None:
        self.inner, self.border = inner, border

    def __call__(self, model: Model) -> PassResult:
        count = 0
        seen: set[ir.Value] = set()
        for node in list(model.graph.graph):
            if node.op_type != "QuantizeLinear" or node.domain or node.outputs[0] in seen:
                continue
            web = _web(node.outputs[0])
            seen.update(web.values)
            wanted = self.border if web.is_border() else self.inner
            if web.closed and node.outputs[0].dtype in _BYTES and web.dtype != wanted:
                web.change(wanted)
                count += 1
        return finish(model, count, f"activations stored as {self.inner}")


@dataclass
class _Web:
    """Values of one scale and zero point, connected by moves, and the nodes at their ends.

    `closed` when nothing else writes or reads them.
    """

    dtype: str
    values: list[ir.Value] = field(default_factory=list)
    quantizes: list[ir.Node] = field(default_factory=list)
    dequantizes: list[ir.Node] = field(default_factory=list)
    moves: list[ir.Node] = field(default_factory=list)
    closed: bool = True

    def is_border(self) -> bool:
        reads = any(n.inputs[0] is not None and n.inputs[0].is_graph_input() for n in self.quantizes)
        return reads or any(node.outputs[0].is_graph_output() for node in self.dequantizes)

    def change(self, dtype: IntegerType) -> None:
        """Make all integers `dtype`."""
        offset = 128 if dtype == "uint8" else -128
        for node in (*self.quantizes, *self.dequantizes):
            zero = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
            value = _constant(node, (0 if zero is None else int(zero.item())) + offset, dtype)
            attributes = {k: v for k, v in node.attributes.items() if k != "output_dtype"}
            become(node, node.op_type, [*node.inputs[:2], value], attributes)
        for node in self.moves:
            padding = constant_of(node.inputs[2]) if padding_of(node) is not None else None
            if padding is not None:
                node.replace_input_with(2, _constant(node, int(padding.item()) + offset, dtype))
        for value in self.values:
            value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(dtype)))


def _constant(node: ir.Node, number: int, dtype: str) -> ir.Value:
    return add_initializer(graph_of(node), f"{node.name}/{dtype}", np.asarray(number, dtype))


def _web(start: ir.Value) -> _Web:
    assert start.dtype is not None
    web = _Web(start.dtype.numpy().name)
    pending, seen = [start], {start}
    while pending:
        value = pending.pop()
        web.values.append(value)
        connected = [*_producer(web, value), *_consumers(web, value)]
        pending += [v for v in dict.fromkeys(connected) if v not in seen]
        seen.update(connected)
    return web


def _producer(web: _Web, value: ir.Value) -> list[ir.Value]:
    node = value.producer()
    if node is not None and _is_linear(node, "QuantizeLinear"):
        web.quantizes.append(node)
        return []
    if node is None or not is_move(node):
        web.closed = False
        return []
    return _moved(web, node)


def _consumers(web: _Web, value: ir.Value) -> list[ir.Value]:
    if value.is_graph_output():
        web.closed = False
    found = []
    for node, index in value.uses():
        if _is_linear(node, "DequantizeLinear") and index == 0:
            web.dequantizes.append(node)
        elif is_move(node) and index in data_inputs(node):
            found += _moved(web, node)
        else:
            web.closed = False
    return found


def _moved(web: _Web, node: ir.Node) -> list[ir.Value]:
    if node not in web.moves:
        web.moves.append(node)
    sources = [node.inputs[index] for index in data_inputs(node)]
    return [node.outputs[0], *(source for source in sources if source is not None)]


def _is_linear(node: ir.Node, op_type: str) -> bool:
    if node.op_type != op_type or node.domain:
        return False
    stored = node.outputs[0] if op_type == "QuantizeLinear" else node.inputs[0]
    return stored is not None and described(node, stored) is not None
