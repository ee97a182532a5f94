"""How many multiply-accumulates a node takes."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import onnx_ir as ir

from edgecompile.core.model import tensor_info


def macs_of(node: ir.Node) -> int:
    """The multiply-accumulates of one inference; 0 for operators that are none, whatever they cost.

    Raises UnsupportedError (EC4001) where a shape is not known.
    """
    count = _MACS.get(node.op_type.removesuffix("Nhwc"))
    return count(node) if count else 0


def _shape(value: ir.Value | None) -> tuple[int, ...]:
    assert value is not None
    return tensor_info(value).shape


def _convolution(weight: int) -> Callable[[ir.Node], int]:
    """Each output element sums over one filter; `weight` is its position among the inputs."""
    return lambda node: prod(_shape(node.outputs[0])) * prod(_shape(node.inputs[weight])[1:])


def _transposed_convolution(node: ir.Node) -> int:
    """Each input element is multiplied with one filter."""
    return prod(_shape(node.inputs[0])) * prod(_shape(node.inputs[1])[1:])


def _product(left: int) -> Callable[[ir.Node], int]:
    """Matrix product whose left operand is input `left`: each output element sums over its columns."""
    return lambda node: prod(_shape(node.outputs[0])) * _shape(node.inputs[left])[-1]


def _gemm(node: ir.Node) -> int:
    """As a product, but the left operand may be stored transposed."""
    transposed = node.attributes.get_int("transA", 0)
    return prod(_shape(node.outputs[0])) * _shape(node.inputs[0])[0 if transposed else 1]


def _recurrent(node: ir.Node) -> int:
    """Input and recurrence weights are used once a time step and batch entry; X is (time, batch, inputs)."""
    batches = prod(_shape(node.inputs[0])[:2])
    return batches * (prod(_shape(node.inputs[1])) + prod(_shape(node.inputs[2])))


def _attention(node: ir.Node) -> int:
    """Two products over the keys: queries with keys, and probabilities with values."""
    keys = _shape(node.inputs[1])[-2]
    return keys * (prod(_shape(node.inputs[0])) + prod(_shape(node.outputs[0])))


# Operators that multiply and accumulate; all others count as 0.
_MACS: dict[str, Callable[[ir.Node], int]] = {
    "Conv": _convolution(1),
    "ConvInteger": _convolution(1),
    "QLinearConv": _convolution(3),
    "ConvTranspose": _transposed_convolution,
    "MatMul": _product(0),
    "MatMulInteger": _product(0),
    "QLinearMatMul": _product(0),
    "Gemm": _gemm,
    "RNN": _recurrent,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "Attention": _attention,
}
