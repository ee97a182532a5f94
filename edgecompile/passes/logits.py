"""What a network says before it is squeezed into probabilities."""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model

_SQUEEZING = ("Softmax", "LogSoftmax", "Sigmoid", "Identity")


def logits_of(model: Model) -> list[ir.Value]:
    """The outputs of `model` that are floats; of a final Softmax or Sigmoid, what it reads."""
    outputs = [value for value in model.graph.graph.outputs if value.dtype == ir.DataType.FLOAT]
    return list(dict.fromkeys(map(_behind, outputs)))


def _behind(value: ir.Value) -> ir.Value:
    node = value.producer()
    if node is None or node.domain or node.op_type not in _SQUEEZING or node.inputs[0] is None:
        return value
    return _behind(node.inputs[0])
