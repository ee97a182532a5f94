"""Merge a constant Pad into the padding of the operator that reads it.

before: Conv(Pad(x, 0 on H and W), w, pads=p)            after: Conv(x, w, pads=p + padding)
before: AveragePool(Pad(x, 0))                           after: AveragePool(x, pads, count_include_pad=1)
before: MaxPool(Pad(x, -inf)), MaxPool(Pad(Relu(y), 0))  after: MaxPool(x, pads)

A MaxPool ignores its own padding, so the pad value must never win: it has to be at most the least value that
x can have. Each window must still see an element of x, which pads smaller than the kernel ensure.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.explicit_padding import pads_of
from edgecompile.passes.matching import produced_by, scalar
from edgecompile.passes.rewriting import become, rewrite_nodes

# Operators whose results are never negative.
_NON_NEGATIVE = frozenset({"Relu", "Sigmoid", "HardSigmoid", "Softmax", "Softplus", "Abs", "Exp", "Sqrt"})


class FusePad:
    """Merge zero padding into convolutions and pools."""

    name = "fuse_pad"
    tolerance = 1e-6  # kernels may sum in another order

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "Pad nodes merged into their readers", _fuse)


def _fuse(node: ir.Node) -> bool:
    pad = produced_by(node.inputs[0], "Pad") if node.inputs and not node.domain else None
    if pad is None or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return False
    added, value = _spatial_padding(pad), _pad_value(pad)
    legal = _LEGAL.get(node.op_type)
    if added is None or value is None or legal is None or not legal(node, pad, value):
        return False
    pads = [a + b for a, b in zip(pads_of(node), added, strict=True)]
    attributes = {**node.attributes, "pads": pads}
    if node.op_type == "AveragePool":
        attributes["count_include_pad"] = 1
    if node.op_type != "Conv" and not _smaller_than_kernel(node, pads):
        return False
    become(node, node.op_type, [pad.inputs[0], *node.inputs[1:]], attributes)
    return True


def _into_conv(node: ir.Node, pad: ir.Node, value: float) -> bool:
    return value == 0.0


def _into_average_pool(node: ir.Node, pad: ir.Node, value: float) -> bool:
    """Zeros that Pad adds are counted, so padding of the pool's own must be absent or counted too."""
    counted = node.attributes.get_int("count_include_pad", 0) or not any(pads_of(node))
    return bool(counted) and value == 0.0 and not node.attributes.get_int("ceil_mode", 0)


def _into_max_pool(node: ir.Node, pad: ir.Node, value: float) -> bool:
    dilated = any(step > 1 for step in node.attributes.get_ints("dilations") or ())
    plain = len(node.outputs) == 1 and not node.attributes.get_int("ceil_mode", 0) and not dilated
    return plain and value <= _lower_bound(pad.inputs[0])


_LEGAL = {"Conv": _into_conv, "AveragePool": _into_average_pool, "MaxPool": _into_max_pool}


def _spatial_padding(pad: ir.Node) -> tuple[int, ...] | None:
    """Begins and ends on the spatial axes; None when other axes are padded, anything is cut, or unknown."""
    rank = len(static_shape(pad.inputs[0]) or ())
    mode = pad.attributes.get_string("mode", "constant")
    amounts = constant_of(pad.inputs[1]) if len(pad.inputs) > 1 else None
    axes: np.ndarray | None = np.arange(rank)
    if len(pad.inputs) > 3 and pad.inputs[3] is not None:
        axes = constant_of(pad.inputs[3])
    if mode != "constant" or amounts is None or axes is None or rank < 3:
        return None
    full = np.zeros((2, rank), np.int64)
    full[:, axes % rank] = amounts.reshape(2, -1)
    if full.min() < 0 or full[:, :2].any():
        return None
    return tuple(int(amount) for amount in full[:, 2:].flat)


def _pad_value(pad: ir.Node) -> float | None:
    if len(pad.inputs) > 2 and pad.inputs[2] is not None:
        return scalar(pad.inputs[2])
    return 0.0


def _lower_bound(value: ir.Value | None) -> float:
    """A number that no element of `value` is below."""
    node = value.producer() if value is not None else None
    if node is not None and not node.domain and node.op_type in _NON_NEGATIVE:
        return 0.0
    clip = produced_by(value, "Clip")
    low = scalar(clip.inputs[1]) if clip and len(clip.inputs) > 1 else None
    if low is not None:
        return low
    pool = produced_by(value, "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool")
    if pool is not None:
        return _lower_bound(pool.inputs[0])
    return _least(value)


def _least(value: ir.Value | None) -> float:
    """The least number of the value's type. PyTorch pads with it instead of -inf where types have no inf."""
    if value is not None and value.dtype is not None and value.dtype.is_integer():
        return float(np.iinfo(value.dtype.numpy()).min)
    return -math.inf


def _smaller_than_kernel(node: ir.Node, pads: list[int]) -> bool:
    kernel = node.attributes.get_ints("kernel_shape") or ()
    return all(amount < size for amount, size in zip(pads, [*kernel, *kernel], strict=True))
