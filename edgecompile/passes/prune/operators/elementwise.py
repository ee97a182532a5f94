"""Operators that compute each element of their result from the same elements of their operands.

An element of the result is there when those of all operands are, so their labels are tied. An operand that is
broadcast along the axis on which units lie is needed by all of them and stays whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.trace import Trace, extra_outputs_read, name_of, shape_of

_UNARY = """Abs Acos Acosh Asin Asinh Atan Atanh Cast CastLike Ceil Celu Clip Cos Cosh Dropout Elu Erf Exp
Floor Gelu HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu
Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh ThresholdedRelu""".split()
_SEVERAL = """Add And Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul Or PRelu Pow Sub
Sum Where Xor""".split()


def unary(trace: Trace, node: ir.Node) -> None:
    """One operand; further inputs are bounds and the like."""
    if extra_outputs_read(node):
        return trace.stop(node)
    return trace.set(node.outputs[0], trace.of(node.inputs[0]))


def several(trace: Trace, node: ir.Node) -> None:
    """Any number of operands, broadcast."""
    trace.set(node.outputs[0], combine(trace, node, node.inputs, shape_of(node.outputs[0])))
    trace.carry(node, *range(len(node.inputs)))


def combine(
    trace: Trace, node: ir.Node, operands: Sequence[ir.Value | None], shape: tuple[int, ...]
) -> Array:
    """The labels of what `node` computes from `operands` element by element, of `shape`."""
    tensors = [_aligned(trace, value, len(shape)) for value in operands if _counts(value)]
    full = [labels for labels in tensors if labels.shape == shape]
    partial = [labels for labels in tensors if labels.shape != shape]
    if not full:
        partial.sort(key=lambda labels: not trace.labels.varying(labels))
        full = [np.broadcast_to(partial.pop(0), shape)]
    result = full[0]
    for labels in full[1:]:
        trace.labels.tie(result, labels)
    for labels in partial:
        join(trace, node, result, labels)
    return result


def join(trace: Trace, node: ir.Node, result: Array, labels: Array) -> None:
    """Tie `labels` of an operand, with length 1 where it is broadcast, to those of the result of `node`."""
    repeated = [axis for axis in range(result.ndim) if labels.shape[axis] != result.shape[axis]]
    if not any(axis in repeated for axis in trace.labels.varying(result)):
        return trace.labels.tie(result, labels)
    trace.labels.tie_along(result, (axis for axis in range(result.ndim) if axis not in repeated))
    return trace.labels.freeze(labels, f"node '{name_of(node)}' needs it for all units of the other operand")


def _counts(value: ir.Value | None) -> bool:
    """Numbers do not matter, they fit whatever is cut."""
    return value is not None and (constant_of(value) is None or max(shape_of(value), default=1) > 1)


def _aligned(trace: Trace, value: ir.Value | None, rank: int) -> Array:
    labels = trace.of(value)
    return labels.reshape((1,) * (rank - labels.ndim) + labels.shape)


RULES = dict.fromkeys(_UNARY, unary) | dict.fromkeys(_SEVERAL, several)
