"""One spelling for pooling over all positions.

before: ReduceMean(x, axes=all spatial, keepdims=1)               after: GlobalAveragePool(x)
before: AveragePool(x) whose only window is the whole image       after: GlobalAveragePool(x)
before: ReduceMax / MaxPool likewise                              after: GlobalMaxPool(x)

Only for images and volumes (rank 4 and 5): a mean over the last axis of a rank 3 tensor is more often a
normalisation over features than a pool.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.matching import produced_by
from edgecompile.passes.normalization import trailing_axis
from edgecompile.passes.rewriting import become, rewrite_nodes

_REDUCTIONS = {"ReduceMean": "GlobalAveragePool", "ReduceMax": "GlobalMaxPool"}
_POOLS = {"AveragePool": "GlobalAveragePool", "MaxPool": "GlobalMaxPool"}
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class NormalizePooling:
    """Pooling over all positions is GlobalAveragePool or GlobalMaxPool."""

    name = "normalize_pooling"
    tolerance = 1e-6  # another order of summation

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "global pools recognised", _reduction, _whole_window)


def _reduction(node: ir.Node) -> bool:
    if node.op_type not in _REDUCTIONS or node.domain or not _is_image(node):
        return False
    if trailing_axis(node) != 2:
        return False
    become(node, _REDUCTIONS[node.op_type], [node.inputs[0]])
    return True


def _whole_window(node: ir.Node) -> bool:
    shape = static_shape(node.inputs[0]) if node.op_type in _POOLS and not node.domain else None
    if shape is None or not _is_image(node) or len(node.outputs) > 1:
        return False
    kernel = tuple(node.attributes.get_ints("kernel_shape") or ())
    one_window = math.prod((static_shape(node.outputs[0]) or (2,) * 4)[2:]) == 1
    padded = any(node.attributes.get_ints("pads") or ())
    dilated = any(step > 1 for step in node.attributes.get_ints("dilations") or ())
    if kernel != shape[2:] or not one_window or padded or dilated:
        return False
    if node.op_type == "AveragePool" and produced_by(node.inputs[0], "DequantizeLinear") is not None:
        return False  # the averages of integers differ where they are rounded
    become(node, _POOLS[node.op_type], [node.inputs[0]])
    return True


def _is_image(node: ir.Node) -> bool:
    value = node.inputs[0]
    return value is not None and len(static_shape(value) or ()) in (4, 5) and value.dtype in _FLOATS
