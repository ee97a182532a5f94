"""Give constants other numbers, under their old names where that is possible."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, add_initializer
from edgecompile.passes.rewriting import graph_of


def set_constant(node: ir.Node, index: int, array: Array) -> ir.Value:
    """Make input `index` of `node` the constant `array`, under its old name if nobody else reads that."""
    value = node.inputs[index]
    assert value is not None
    if len(value.uses()) > 1 or value.is_graph_output():
        new = add_initializer(graph_of(node), f"{value.name}/{node.name}", array, value)
        node.replace_input_with(index, new)
        return new
    assign(value, array)
    return value


def assign(value: ir.Value, array: Array) -> None:
    """Give the initializer `value` other numbers."""
    array = np.ascontiguousarray(array)
    value.const_value = ir.tensor(array, dtype=value.dtype, name=value.name)
    value.shape = ir.Shape(array.shape)
