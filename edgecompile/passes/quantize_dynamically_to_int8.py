"""Quantize activations to int8 in every run, for targets that multiply signed bytes.

before: q, s, z = DynamicQuantizeLinear(x)                      after: _, s, z = DynamicQuantizeLinear(x)
                                                                       z8 = Cast(Cast(z) - 128)
                                                                       q8 = QuantizeLinear(x, s, z8)
        MatMulInteger(q, w, z)                                         MatMulInteger(q8, w, z8)

DynamicQuantizeLinear only knows uint8. The integers and their zero point move by 128 together, so that every
product stays what it is.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, static_shape
from edgecompile.passes.rewriting import graph_of, insert, rewrite_nodes

# Where MatMulInteger and ConvInteger read the integers of an activation and their zero point.
_READERS = ("MatMulInteger", "ConvInteger", "ConvIntegerNhwc")
_DATA, _ZERO = 0, 2


class QuantizeDynamicallyToInt8:
    """What DynamicQuantizeLinear gives, and only integer products read, becomes int8."""

    name = "quantize_dynamically_to_int8"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "activations quantized to int8 in every run", _sign)


def _sign(node: ir.Node) -> bool:
    if node.op_type != "DynamicQuantizeLinear" or node.domain:
        return False
    x, (integers, scale, zero) = node.inputs[0], node.outputs
    uses = [*((use, _DATA) for use in integers.uses()), *((use, _ZERO) for use in zero.uses())]
    centered = [user for user, index in zero.uses() if index == _ZERO]
    readers = [user for user, _ in integers.uses()]
    if not readers or integers.is_graph_output() or zero.is_graph_output():
        return False
    if any(use.idx != index or use.node.op_type not in _READERS for use, index in uses):
        return False
    if set(readers) != set(centered):
        return False
    before = readers[0]
    signed_zero = _moved_by_128(before, zero)
    signed = insert(
        before,
        "QuantizeLinear",
        [x, scale, signed_zero],
        shape=static_shape(x) or (),
        dtype=ir.DataType.INT8,
    )
    for reader in readers:
        reader.replace_input_with(_DATA, signed)
        reader.replace_input_with(_ZERO, signed_zero)
    return True


def _moved_by_128(before: ir.Node, zero: ir.Value) -> ir.Value:
    wide = insert(before, "Cast", [zero], {"to": ir.DataType.INT32}, shape=(), dtype=ir.DataType.INT32)
    offset = add_initializer(graph_of(before), f"{zero.name}/offset", np.asarray(-128, np.int32))
    moved = insert(before, "Add", [wide, offset], shape=())
    return insert(before, "Cast", [moved], {"to": ir.DataType.INT8}, shape=(), dtype=ir.DataType.INT8)
