"""Move elements as integers where their real numbers are only a detour.

before: q -> DequantizeLinear -> Transpose -> QuantizeLinear (same scale) -> r
after:  q -> Transpose -> r

A DequantizeLinear moves down through operators that only move elements, a QuantizeLinear moves up, and the
two cancel where they meet with equal parameters. All of that is exact.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import FusedOp, activation_attributes
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.evaluate import evaluate
from edgecompile.passes.integer.moves import data_inputs, is_move, on_integers, padding_of
from edgecompile.passes.integer.quantized import Quantized, dequantized, described
from edgecompile.passes.matching import only_reader, produced_by
from edgecompile.passes.rewriting import become, finish, forward, graph_of, insert


class MoveQuantization:
    """Moves between DequantizeLinear and QuantizeLinear work on integers."""

    name = "move_quantization"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        count = 0
        for node in list(graph):
            count += node.graph is graph and _move_down(node)
        for node in reversed(list(graph)):
            count += node.graph is graph and _move_up(node)
        for node in list(graph):
            count += node.graph is graph and (_fold(node) or _cancel(node))
        return finish(model, count, "moves of elements done on integers")


def _move_down(node: ir.Node) -> bool:
    """Move(Dequantize(q)) -> Dequantize(Move(q))."""
    if not is_move(node) or node.outputs[0].dtype != ir.DataType.FLOAT:
        return False
    sources = [dequantized(node.inputs[index]) for index in data_inputs(node)]
    first = sources[0]
    if first is None or any(source is None or source.parameters != first.parameters for source in sources):
        return False
    padding = padding_of(node)
    if padding is not None and not _is_exact(first, padding):
        return False
    dequantize = produced_by(node.inputs[0], "DequantizeLinear")
    assert dequantize is not None
    moved = _on_integers(node, [source.value for source in sources if source is not None], first)
    _dequantize(node, [moved, *dequantize.inputs[1:]])
    return True


def _is_exact(stored: Quantized, real: float) -> bool:
    """Whether an integer stands for exactly `real`."""
    integer = stored.integer_of(real)
    return bool(np.float32(integer - stored.zero) * np.float32(stored.scale) == np.float32(real))


def _on_integers(node: ir.Node, sources: list[ir.Value], like: Quantized) -> ir.Value:
    """A new node in front of `node` that moves integers."""
    op_type, domain, attributes = on_integers(node)
    inputs: list[ir.Value | None] = list(node.inputs)
    for index, source in zip(data_inputs(node), sources, strict=True):
        inputs[index] = source
    padding = padding_of(node)
    if padding is not None:
        value = np.asarray(like.integer_of(padding), like.dtype)
        inputs += [None] * (3 - len(inputs))
        inputs[2] = add_initializer(graph_of(node), f"{node.name}/padding", value)
    shape = static_shape(node.outputs[0])
    assert shape is not None
    dtype = ir.DataType.from_numpy(like.dtype)
    return insert(node, op_type, inputs, attributes, shape=shape, dtype=dtype, domain=domain)


def _dequantize(node: ir.Node, inputs: list[ir.Value | None]) -> None:
    """Turn a move into the DequantizeLinear behind it, or into its activation behind that."""
    op, name = FusedOp.of(node), node.name
    assert op is not None
    assert inputs[0] is not None
    mover = inputs[0].producer()
    assert mover is not None
    mover.name = name
    if not op.activation:
        become(node, "DequantizeLinear", inputs)
        node.name = f"{name}/DequantizeLinear"
        return
    attributes = activation_attributes(node)
    shape = static_shape(node.outputs[0])
    assert shape is not None
    data = insert(node, "DequantizeLinear", inputs, shape=shape, dtype=ir.DataType.FLOAT)
    operands: list[ir.Value | None] = [data]
    if op.activation == "Clip":
        operands += [_scalar(node, label, attributes.pop(label)) for label in ("min", "max")]
    become(node, op.activation, operands, attributes)
    node.name = f"{name}/{op.activation}"


def _scalar(node: ir.Node, label: str, value: float) -> ir.Value:
    return add_initializer(graph_of(node), f"{node.name}/{label}", np.asarray(value, np.float32))


def _move_up(node: ir.Node) -> bool:
    """Quantize(Move(x, ...)) -> Move(Quantize(x), ...)."""
    if node.op_type != "QuantizeLinear" or node.domain:
        return False
    source, result = node.inputs[0], described(node, node.outputs[0])
    mover = source.producer() if source is not None else None
    if source is None or mover is None or result is None or only_reader(source) is not node:
        return False
    op = FusedOp.of(mover)
    if not is_move(mover) or op is None or op.activation or source.dtype != ir.DataType.FLOAT:
        return False
    attributes: dict[str, Any] = dict(node.attributes)
    integers = [
        insert(
            mover, "QuantizeLinear", [mover.inputs[index], *node.inputs[1:]], attributes,
            shape=static_shape(mover.inputs[index]) or (), dtype=node.outputs[0].dtype,
        )
        for index in data_inputs(mover)
    ]  # fmt: skip
    moved = _on_integers(mover, integers, result)
    name = mover.name
    forward(node, moved)
    producer = moved.producer()
    assert producer is not None
    producer.name = name
    return True


def _cancel(node: ir.Node) -> bool:
    """Quantize(Dequantize(q)) -> q when both have the same scale, zero point and type."""
    if node.op_type != "QuantizeLinear" or node.domain:
        return False
    source, result = dequantized(node.inputs[0]), described(node, node.outputs[0])
    if source is None or result is None or source.parameters != result.parameters:
        return False
    forward(node, source.value)
    return True


def _fold(node: ir.Node) -> bool:
    """A move of integers that are constant (weights, once stored transposed) is a constant."""
    if not is_move(node) or node.outputs[0].dtype not in (ir.DataType.INT8, ir.DataType.UINT8):
        return False
    arrays = [constant_of(value) for value in node.inputs]
    if any(a is None for a, value in zip(arrays, node.inputs, strict=True) if value is not None):
        return False
    graph = graph_of(node)
    results = evaluate(node, arrays, dict(graph.opset_imports))
    if results is None or node.outputs[0].is_graph_output():
        return False
    forward(node, add_initializer(graph, f"{node.outputs[0].name}/value", results[0]))
    return True
