"""Fold what is left of removed units into the biases of those that read them.

A constant c in place of a unit is the constant W c in what a contraction computes from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, add_initializer, constant_of, replace_value, static_shape
from edgecompile.passes.matching import only_reader
from edgecompile.passes.prune.assign import set_constant
from edgecompile.passes.prune.constants import Constants
from edgecompile.passes.prune.groups import Dependencies, Reader
from edgecompile.passes.rewriting import graph_of


@dataclass
class Folded:
    """What folding added: the units along an axis of new initializers, and the new names of results."""

    slots: dict[tuple[str, int], Array] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)


def fold_constants(model: Model, dependencies: Dependencies, constants: Constants) -> Folded:
    """Add what removed units leave to the biases of their readers, in place; weights still have all units."""
    nodes = {str(node.name): node for node in model.graph.graph}
    folded = Folded()
    for reader, values in constants.found:
        node = nodes[reader.node]
        weights = node.inputs[reader.weight] if reader.weight is not None else None
        if weights is None or not values.any() or node.op_type == "ConvTranspose":
            continue  # what a transposed convolution makes of a constant is a pattern, not a number
        units = dependencies.slots.get((str(weights.name), reader.out_axis))
        _add_to_bias(node, reader, weights, values, units, folded)
    return folded


def _response(node: ir.Node, reader: Reader, weights: ir.Value, values: Array) -> Array:
    """What the constant `values` along the reader's axis add to each output, in float64."""
    array = constant_of(weights)
    assert array is not None
    table = np.moveaxis(array.astype(np.float64), (reader.out_axis, reader.weight_axis), (0, 1))
    table = table.reshape(*table.shape[:2], -1).sum(axis=2)
    groups = node.attributes.get_int("group", 1)
    inputs = values.reshape(groups, -1).repeat(table.shape[0] // groups, axis=0)
    return np.asarray((table * inputs).sum(axis=1) * node.attributes.get_float("alpha", 1.0))


def _add_to_bias(
    node: ir.Node, reader: Reader, weights: ir.Value, values: Array, units: Array | None, folded: Folded
) -> None:
    """Into the bias that is there, into a new one, or, where the operator has none, into an Add behind it."""
    response, place = _response(node, reader, weights, values), reader.bias
    given = node.inputs[place] if place is not None and place < len(node.inputs) else None
    old, factor = constant_of(given), node.attributes.get_float("beta", 1.0)
    assert weights.dtype is not None
    dtype = weights.dtype.numpy()
    if place is not None and old is not None and factor and old.shape[-1:] == response.shape:
        bias = set_constant(node, place, (old + response / factor).astype(dtype))
    elif place is not None and given is None and factor:
        bias = add_initializer(
            graph_of(node), f"{node.name}/bias", (response / factor).astype(dtype), weights
        )
        node.resize_inputs(place + 1)
        node.replace_input_with(place, bias)
    else:
        response = response[:, None] if node.op_type == "MatMul" and reader.weight == 0 else response
        added = _sum_with_constant(node, response.shape)
        if added is not None:
            set_constant(*added, (_operand(*added) + response).astype(dtype))
            return
        bias = add_initializer(graph_of(node), f"{node.name}/bias", response.astype(dtype), weights)
        folded.moved[_add_behind(node, bias)] = str(node.outputs[0].name)
    if units is not None:
        shape = static_shape(bias) or ()
        folded.slots[str(bias.name), shape.index(max(shape))] = units


def _sum_with_constant(node: ir.Node, shape: tuple[int, ...]) -> tuple[ir.Node, int] | None:
    """The Add of a constant of `shape` that is all that reads the result of `node`, and its index there."""
    reader = only_reader(node.outputs[0])
    if reader is None or reader.op_type != "Add" or reader.domain:
        return None
    return next(((reader, index) for index in (0, 1) if _operand(reader, index).shape == shape), None)


def _operand(node: ir.Node, index: int) -> Array:
    """The constant at `index`; without elements when there is none."""
    array = constant_of(node.inputs[index])
    return np.zeros((0, 0)) if array is None else array


def _add_behind(node: ir.Node, bias: ir.Value) -> str:
    """Let all that reads the result of `node` read its sum with `bias`; the name of the sum."""
    result = node.outputs[0]
    added = ir.node("Add", [result, bias], name=f"{node.name}/add_bias", num_outputs=1)
    total = added.outputs[0]
    total.name, total.type = f"{result.name}/add_bias", result.type
    total.shape = ir.Shape(static_shape(result) or ())
    graph_of(node).insert_after(node, added)
    replace_value(result, total, added)
    return str(total.name)
