"""Constant weights of integer products as int8 without a zero point, which is what fast kernels multiply.

before: MatMulInteger(a, b uint8, a_zero, b_zero)
after:  MatMulInteger(a, b - b_zero, a_zero)                                        where that fits int8, else
        MatMulInteger(a, b - 128, a_zero) - (b_zero - 128) * ReduceSum(a - a_zero)

and ConvInteger likewise; there the sums under the window are a ConvInteger by ones.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import Array, add_initializer, constant_of, static_shape
from edgecompile.passes.rewriting import become, graph_of, insert, rewrite_nodes

_INT32 = ir.DataType.INT32


class CenterIntegerWeights:
    """MatMulInteger with a constant matrix of weights, and ConvInteger with constant weights."""

    name = "center_integer_weights"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "integer weights centred", _center)


def _center(node: ir.Node) -> bool:
    if node.op_type not in ("MatMulInteger", "ConvInteger") or node.domain:
        return False
    weights, zero = constant_of(node.inputs[1]), _zero_point(node)
    is_conv = node.op_type == "ConvInteger"
    if weights is None or zero is None or zero.ndim > 1 or not (is_conv or weights.ndim == 2):
        return False
    if weights.dtype == np.int8 and not zero.any():
        return False
    if is_conv:
        zero = zero.reshape(-1, *(1,) * (weights.ndim - 1))
    centered = weights.astype(np.int32) - zero
    limits = np.iinfo(np.int8)
    if limits.min <= centered.min(initial=0) and centered.max(initial=0) <= limits.max:
        become(node, node.op_type, _operands(node, centered), dict(node.attributes))
        return True
    if node.attributes.get_int("group", 1) > 1 or len(static_shape(node.inputs[0]) or ()) < 2:
        return False
    _split(node, weights, zero[..., 0] if is_conv else zero)
    return True


def _zero_point(node: ir.Node) -> Array | None:
    """The zero point of the weights in int32; None when it is only known at run time."""
    if len(node.inputs) < 4 or node.inputs[3] is None:
        return np.zeros((), np.int32)
    zero = constant_of(node.inputs[3])
    return None if zero is None else zero.astype(np.int32)


def _split(node: ir.Node, weights: Array, zero: Array) -> None:
    """The product by moved weights, less what the rest of their zero point adds up to."""
    offset = 128 if weights.dtype == np.uint8 else 0
    shape, attributes = static_shape(node.outputs[0]) or (), dict(node.attributes)
    moved = _operands(node, weights.astype(np.int32) - offset)
    product = insert(node, node.op_type, moved, attributes, shape=shape, dtype=_INT32)
    total = _window_sums(node, weights) if node.op_type == "ConvInteger" else _row_sums(node)
    rest = add_initializer(graph_of(node), f"{node.name}/zero", zero - np.int32(offset))
    extents = np.broadcast_shapes(static_shape(total) or (), zero.shape)
    become(node, "Sub", [product, insert(node, "Mul", [total, rest], shape=extents)])


def _row_sums(node: ir.Node) -> ir.Value:
    """The sums of the rows of a - a_zero."""
    data = node.inputs[0]
    assert data is not None
    wide, shape = _wide(node, data), static_shape(data) or ()
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        wide = insert(node, "Sub", [wide, _wide(node, node.inputs[2])], shape=shape)
    axes = add_initializer(graph_of(node), f"{node.name}/axes", np.array([-1], np.int64))
    return insert(node, "ReduceSum", [wide, axes], shape=(*shape[:-1], 1))


def _window_sums(node: ir.Node, weights: Array) -> ir.Value:
    """The sums under the windows of a convolution of one group, as one channel."""
    batch, _, *extents = static_shape(node.outputs[0]) or ()
    ones = np.ones((1, *weights.shape[1:]), np.int32)
    shape, attributes = (batch, 1, *extents), dict(node.attributes)
    return insert(node, "ConvInteger", _operands(node, ones), attributes, shape=shape, dtype=_INT32)


def _operands(node: ir.Node, weights: Array) -> list[ir.Value | None]:
    """The inputs of a product by other weights, without a zero point of theirs."""
    name = f"{node.inputs[1].name}/centered" if node.inputs[1] is not None else ""
    constant = add_initializer(graph_of(node), name, weights.astype(np.int8))
    return [node.inputs[0], constant, *node.inputs[2:3]]


def _wide(node: ir.Node, value: ir.Value) -> ir.Value:
    return insert(node, "Cast", [value], {"to": _INT32}, shape=static_shape(value) or (), dtype=_INT32)
