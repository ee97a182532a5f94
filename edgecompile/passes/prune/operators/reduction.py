"""Operators that read all elements along some axes: reductions, softmax, normalization over axes.

Units along another axis pass by. Along these axes they become one, except where a normalization reads them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.groups import Reader
from edgecompile.passes.prune.labels import first
from edgecompile.passes.prune.operators.channelwise import changed_statistics
from edgecompile.passes.prune.operators.elementwise import combine
from edgecompile.passes.prune.trace import Trace, extra_outputs_read, name_of, shape_of

_REDUCTIONS = """ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
ReduceSum ReduceSumSquare""".split()
_BY_AXIS = {"ArgMax": 0, "ArgMin": 0, "TopK": -1, "Softmax": -1, "LogSoftmax": -1, "Hardmax": -1}
_BY_AXIS |= {"LpNormalization": -1, "LRN": 1}


def reduction(trace: Trace, node: ir.Node) -> None:
    """Axes are input 1; none means all."""
    given = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if given is None and len(node.inputs) > 1 and node.inputs[1] is not None:
        return trace.stop(node)
    rank = len(shape_of(node.inputs[0]))
    none = () if node.attributes.get_int("noop_with_empty_axes", 0) else range(rank)
    axes = [int(axis) % rank for axis in (np.ravel(given) if given is not None and given.size else none)]
    return _read_along(trace, node, axes, keeps=bool(node.attributes.get_int("keepdims", 1)))


def along_axis(trace: Trace, node: ir.Node) -> None:
    """The axis is an attribute."""
    rank = len(shape_of(node.inputs[0]))
    axis = node.attributes.get_int("axis", _BY_AXIS[node.op_type]) % rank
    keeps = bool(node.attributes.get_int("keepdims", 1))
    return _read_along(trace, node, [axis], keeps or len(shape_of(node.outputs[0])) == rank)


def cumulation(trace: Trace, node: ir.Node) -> None:
    """CumSum: the axis is input 1."""
    axis = constant_of(node.inputs[1])
    if axis is None:
        return trace.stop(node)
    return _read_along(trace, node, [int(axis.item()) % len(shape_of(node.inputs[0]))], keeps=True)


def normalization(trace: Trace, node: ir.Node) -> None:
    """LayerNormalization and RMSNormalization, whose scale and bias are operands like any other."""
    if extra_outputs_read(node):
        return trace.stop(node)
    labels = trace.of(node.inputs[0])
    begin = node.attributes.get_int("axis", -1) % labels.ndim
    if any(axis >= begin for axis in trace.labels.varying(labels)):
        constant = constant_of(node.inputs[1]) is not None
        if node.op_type == "RMSNormalization" and constant and begin == labels.ndim - 1:
            # the cut makes up for it in the scale, where what is cut is 0
            trace.readers.append(Reader(name_of(node), 0, begin))
        else:
            trace.inexact.append((labels, changed_statistics(node)))
    trace.set(node.outputs[0], combine(trace, node, node.inputs, labels.shape))
    return trace.carry(node, 1, 2)


def _read_along(trace: Trace, node: ir.Node, axes: Sequence[int], keeps: bool) -> None:
    labels = trace.of(node.inputs[0])
    crossed = any(axis in axes for axis in trace.labels.varying(labels))
    trace.labels.tie_along(labels, axes)
    if crossed and not trace.labels.varying(labels):
        trace.labels.freeze(labels, f"{node.op_type} '{name_of(node)}' reads across all of it")
    result = _first_along(labels, axes)
    if not keeps:
        result = result.reshape([size for axis, size in enumerate(result.shape) if axis not in axes])
    for value in node.outputs:
        if value.name:
            trace.set(value, result)


def _first_along(labels: Array, axes: Sequence[int]) -> Array:
    for axis in axes:
        labels = first(labels, axis)
    return labels


RULES = dict.fromkeys(_REDUCTIONS, reduction) | dict.fromkeys(_BY_AXIS, along_axis)
RULES |= {"CumSum": cumulation, "LayerNormalization": normalization, "RMSNormalization": normalization}
