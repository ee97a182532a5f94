"""Where the bias of a contraction is: an input of Conv and Gemm; behind a MatMul, what an Add adds.

A linear layer on sequences, [N, T, K] -> [N, T, M], is a MatMul and an Add in ONNX, because Gemm has rank 2.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of, static_shape
from edgecompile.passes.matching import only_reader, other_input, produced_by


def added_bias(product: ir.Node) -> ir.Node | None:
    """The Add of one number a column that alone reads `product`, a MatMul by a constant matrix."""
    if product.op_type != "MatMul" or product.domain or constant_of(product.inputs[1]) is None:
        return None
    result = product.outputs[0]
    add, shape = only_reader(result), static_shape(result)
    if add is None or add.op_type != "Add" or add.domain or not shape or len(shape) < 2:
        return None
    bias = constant_of(other_input(add, result))
    fits = bias is not None and bias.ndim <= len(shape) and bias.shape[-1:] == shape[-1:] == (bias.size,)
    return add if fits else None


def product_of(add: ir.Node) -> ir.Node | None:
    """The MatMul whose bias `add` adds."""
    products = (produced_by(value, "MatMul") for value in add.inputs)
    return next((node for node in products if node is not None and added_bias(node) is add), None)


def bias_place(node: ir.Node) -> tuple[ir.Node, int] | None:
    """Which node and which input of it hold the bias of the contraction `node`; None where it can have none.

    A Conv or Gemm without bias has a place for one.
    """
    if node.op_type != "MatMul":
        return node, 2
    add = added_bias(node)
    if add is None:
        return None
    return add, 0 if constant_of(add.inputs[1]) is None else 1


def constant_bias(node: ir.Node) -> Array | None:
    """The bias of the contraction `node`, one number a channel; None without one."""
    place = bias_place(node)
    if place is None or place[1] >= len(place[0].inputs):
        return None
    array = constant_of(place[0].inputs[place[1]])
    return None if array is None else array.reshape(-1)
