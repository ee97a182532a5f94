"""Quantized networks as Qualcomm's compiler reads them.

It reads an operator together with the DequantizeLinear nodes in front of it and the QuantizeLinear behind it,
as one operator on integers; other operators it computes in 16-bit floats, or not at all. So

- a Relu or Clip goes where the integers clamp as well, and otherwise gets a QuantizeLinear and a
  DequantizeLinear in front (`AbsorbClamps`);
- what moves integers says what numbers they stand for (`MoveRealNumbers`).
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, static_shape
from edgecompile.passes.integer.moves import data_inputs, is_move, padding_of
from edgecompile.passes.integer.quantized import Quantized, described
from edgecompile.passes.matching import only_reader, produced_by, scalar
from edgecompile.passes.rewriting import become, finish, forward, graph_of, insert, rewrite_nodes

_CLAMPS = ("Relu", "Clip")


class AbsorbClamps:
    """No Relu or Clip between an operator and its QuantizeLinear."""

    name = "absorb_clamps"
    tolerance = 0.0  # quantizing is monotone: clamping first or afterwards gives the same integer

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "clamps left to integers", _absorb)


class MoveRealNumbers:
    """Moves of integers stand between DequantizeLinear and QuantizeLinear.

    before: q -> Transpose -> r
    after:  q -> DequantizeLinear -> Transpose -> QuantizeLinear -> r
    """

    name = "move_real_numbers"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        count = sum(_dequantize(node) for node in list(model.graph.graph))
        return finish(model, count, "moves of integers spelled with their scales")


def _absorb(node: ir.Node) -> bool:
    if node.op_type not in _CLAMPS or node.domain:
        return False
    quantize, source = only_reader(node.outputs[0]), node.inputs[0]
    if quantize is None or source is None or only_reader(source) is not node:
        return False
    result = described(quantize, quantize.outputs[0]) if quantize.op_type == "QuantizeLinear" else None
    if result is None or source.producer() is None or produced_by(source, "DequantizeLinear"):
        return False
    bounds = _bounds(node)
    if bounds is None:
        return False
    low, high = (result.integer_of(bound) for bound in bounds)
    if (low, high) == result.limits:
        forward(node, source)
    else:
        become(node, node.op_type, [_through_integers(node, source, quantize), *node.inputs[1:]])
    return True


def _bounds(node: ir.Node) -> tuple[float, float] | None:
    """Between what a Relu or Clip clamps; None when that is computed."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for position, value in enumerate(node.inputs[1:]):
        if value is not None:
            number = scalar(value)
            if number is None:
                return None
            bounds[position] = number
    return bounds[0], bounds[1]


def _through_integers(before: ir.Node, value: ir.Value, like: ir.Node) -> ir.Value:
    """`value` quantized as the QuantizeLinear `like` does it, and dequantized."""
    shape, parameters = static_shape(value) or (), like.inputs[1:]
    dtype = like.outputs[0].dtype
    stored = insert(before, "QuantizeLinear", [value, *parameters], like.attributes, shape=shape, dtype=dtype)
    return insert(before, "DequantizeLinear", [stored, *parameters], shape=shape, dtype=ir.DataType.FLOAT)


def _dequantize(node: ir.Node) -> bool:
    """Give a move of integers its DequantizeLinear and QuantizeLinear."""
    if node.domain or not is_move(node) or node.inputs[0] is None:
        return False
    stored = _meaning(node.inputs[0])
    if stored is None or node.outputs[0].dtype != node.inputs[0].dtype:
        return False
    graph, result = graph_of(node), node.outputs[0]
    scale = add_initializer(graph, f"{result.name}/scale", np.asarray(stored.scale, np.float32))
    zero = add_initializer(graph, f"{result.name}/zero_point", np.asarray(stored.zero, stored.dtype))
    inputs: list[ir.Value | None] = list(node.inputs)
    for index in data_inputs(node):
        source = inputs[index]
        shape = static_shape(source) or ()
        inputs[index] = insert(
            node, "DequantizeLinear", [source, scale, zero], shape=shape, dtype=ir.DataType.FLOAT
        )
    padding = padding_of(node)
    if padding is not None:
        real = np.asarray((padding - stored.zero) * stored.scale, np.float32)
        inputs[2] = add_initializer(graph, f"{result.name}/padding", real)
    moved = insert(
        node, node.op_type, inputs, node.attributes, shape=static_shape(result) or (), dtype=ir.DataType.FLOAT
    )
    producer = moved.producer()
    assert producer is not None
    producer.name, node.name = node.name, f"{node.name}/quantize"
    become(node, "QuantizeLinear", [moved, scale, zero])
    return True


def _meaning(value: ir.Value) -> Quantized | None:
    """How `value` is quantized, as its QuantizeLinear says, or else a DequantizeLinear that reads it."""
    writer = produced_by(value, "QuantizeLinear")
    if writer is not None:
        return described(writer, value)
    for reader, index in value.uses():
        if reader.op_type == "DequantizeLinear" and not reader.domain and index == 0:
            return described(reader, value)
    return None
