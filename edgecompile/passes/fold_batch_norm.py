"""Fold BatchNormalization and other per-channel scales and shifts into weights.

before: BatchNormalization(Conv(x, w, b))             after: Conv(x, w * s, b * s + t)
before: Conv(BatchNormalization(x), w)                after: Conv(x, w * s, b + sum(w * t))  without padding
before: BatchNormalization(x), elsewhere              after: Add(Mul(x, s), t)

with s = scale / sqrt(variance + epsilon) and t = bias - mean * s. The same holds for Mul and Add with
per-channel constants, and for ConvTranspose and Gemm. Rank 2 MatMul was made Gemm before. A shift in front of
a padded convolution is left alone: the padding would have to be shifted too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.explicit_padding import pads_of
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import become, graph_of, insert, rewrite_nodes

Array = np.ndarray[Any, np.dtype[np.float64]]

_WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm"})
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class FoldBatchNorm:
    """Per-channel scales and shifts around convolutions and Gemm go into their weights."""

    name = "fold_batch_norm"
    tolerance = 1e-4

    def __call__(self, model: Model) -> PassResult:
        rules = (_into_producer, _into_reader, _as_mul_add)
        return rewrite_nodes(model, "scales and shifts folded into weights", *rules)


@dataclass(frozen=True)
class _Affine:
    """`x` * scale + shift along axis 1; arrays of one element a channel."""

    x: ir.Value
    scale: Array
    shift: Array


def _into_producer(node: ir.Node) -> bool:
    affine = _match(node)
    producer = affine.x.producer() if affine else None
    if affine is None or producer is None or producer.op_type not in _WEIGHTED or producer.domain:
        return False
    parameters = _parameters(producer)
    if parameters is None or only_reader(affine.x) is not node:
        return False
    weights, bias = parameters
    weights = weights * _along_outputs(affine.scale, producer, weights)
    bias = bias * affine.scale + affine.shift
    name, attributes = producer.name, dict(producer.attributes)
    _rewrite(node, producer.op_type, producer.inputs[0], producer, weights, bias, attributes)
    node.name = name
    return True


def _into_reader(node: ir.Node) -> bool:
    """Fold what stands in front of a convolution or Gemm, when nobody else reads it."""
    affine = _match(node)
    reader = only_reader(node.outputs[0])
    if affine is None or reader is None or reader.op_type not in ("Conv", "Gemm") or reader.domain:
        return False
    parameters = _parameters(reader)
    is_data = reader.inputs[0] is node.outputs[0] and not reader.attributes.get_int("transA", 0)
    if parameters is None or not is_data or (affine.shift.any() and _is_padded(reader)):
        return False
    weights, bias = parameters
    along = _along_inputs(reader, weights, affine)
    bias = bias + _sum_of_inputs(reader, weights * along[1])
    _rewrite(reader, reader.op_type, affine.x, reader, weights * along[0], bias, dict(reader.attributes))
    before = affine.x.producer()
    if before is not None:
        _into_reader(before)
    return True


def _as_mul_add(node: ir.Node) -> bool:
    affine = _match(node) if node.op_type == "BatchNormalization" else None
    if affine is None:
        return False
    shape = static_shape(affine.x)
    assert shape is not None
    across = (len(affine.scale), *(1,) * (len(shape) - 2))
    scale = _constant(node, "scale", affine.scale.reshape(across), affine.x)
    shift = _constant(node, "shift", affine.shift.reshape(across), affine.x)
    become(node, "Add", [insert(node, "Mul", [affine.x, scale], shape=shape), shift])
    return True


def _match(node: ir.Node) -> _Affine | None:
    shape = static_shape(node.inputs[0]) if node.inputs and not node.domain else None
    if shape is None or len(shape) < 2 or len(node.outputs) != 1 or node.outputs[0].dtype not in _FLOATS:
        return None
    if node.op_type == "BatchNormalization":
        return _match_batch_norm(node)
    x = node.inputs[0]
    if node.op_type not in ("Mul", "Add", "Div") or static_shape(node.outputs[0]) != shape or x is None:
        return None
    constant = constant_of(node.inputs[1])
    values = _per_channel(constant, shape) if constant is not None else None
    if values is None or constant_of(x) is not None:
        return None
    if node.op_type == "Add":
        return _Affine(x, np.ones(shape[1]), values)
    if node.op_type == "Div":
        if not values.all():
            return None
        values = 1.0 / values
    return _Affine(x, values, np.zeros(shape[1]))


def _match_batch_norm(node: ir.Node) -> _Affine | None:
    constants = [constant_of(value) for value in node.inputs[1:5]]
    x = node.inputs[0]
    trains = node.attributes.get_int("training_mode", 0) == 1
    if x is None or trains or any(array is None for array in constants):
        return None
    scale, bias, mean, variance = (np.asarray(array, np.float64) for array in constants)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
        shift = bias - mean * factor
    return _Affine(x, factor, shift) if np.isfinite(factor).all() and np.isfinite(shift).all() else None


def _per_channel(constant: np.ndarray[Any, Any], shape: tuple[int, ...]) -> Array | None:
    """`constant` as one value a channel (axis 1) of a tensor of `shape`; None when it varies otherwise."""
    if constant.ndim > len(shape):
        return None
    aligned = constant.reshape((1,) * (len(shape) - constant.ndim) + constant.shape)
    if any(size != 1 for axis, size in enumerate(aligned.shape) if axis != 1):
        return None
    return np.broadcast_to(aligned.ravel().astype(np.float64), (shape[1],))


def _parameters(node: ir.Node) -> tuple[Array, Array] | None:
    """Weights and bias (zeros without one, one value an output channel) in float64; None if not constant."""
    weights = constant_of(node.inputs[1])
    given = node.inputs[2] if len(node.inputs) > 2 else None
    bias, shape = constant_of(given), static_shape(node.outputs[0])
    if weights is None or shape is None or (given is not None and bias is None):
        return None
    factors = [node.attributes.get_float(name, 1.0) for name in ("alpha", "beta")]
    if node.op_type == "Gemm" and factors != [1.0, 1.0]:
        return None
    values = np.zeros(shape[1]) if bias is None else _per_channel(bias, (1, shape[1]))
    return (weights.astype(np.float64), values) if values is not None else None


def _along_outputs(scale: Array, node: ir.Node, weights: Array) -> Array:
    """`scale`, one value an output channel, shaped to multiply the weights of `node`."""
    if node.op_type == "Gemm":
        return scale[:, None] if node.attributes.get_int("transB", 0) else scale[None, :]
    ones = (1,) * (weights.ndim - 2)
    if node.op_type == "Conv":
        return scale.reshape(-1, 1, *ones)
    # ConvTranspose: weights [inputs, outputs per group, ...]; group g holds a block of inputs
    groups = node.attributes.get_int("group", 1)
    blocks = scale.reshape(groups, 1, -1).repeat(weights.shape[0] // groups, axis=1)
    return blocks.reshape(weights.shape[0], -1, *ones)


def _along_inputs(node: ir.Node, weights: Array, affine: _Affine) -> tuple[Array, Array]:
    """Scale and shift, one value an input channel, shaped to multiply the weights of `node`."""
    both = affine.scale, affine.shift
    if node.op_type == "Gemm":
        rows = (1, -1) if node.attributes.get_int("transB", 0) else (-1, 1)
        return both[0].reshape(rows), both[1].reshape(rows)
    groups = node.attributes.get_int("group", 1)
    shape = (groups, 1, -1, *(1,) * (weights.ndim - 2))
    repeats = weights.shape[0] // groups
    wide = (values.reshape(shape).repeat(repeats, axis=1) for values in both)
    scale, shift = (values.reshape(weights.shape[0], -1, *shape[3:]) for values in wide)
    return scale, shift


def _sum_of_inputs(node: ir.Node, products: Array) -> Array:
    """Sum over everything but the output channel."""
    if node.op_type == "Gemm":
        axes: tuple[int, ...] = (1,) if node.attributes.get_int("transB", 0) else (0,)
    else:
        axes = tuple(range(1, products.ndim))
    return np.asarray(products.sum(axis=axes))


def _is_padded(node: ir.Node) -> bool:
    automatic = node.attributes.get_string("auto_pad", "NOTSET") not in ("NOTSET", "VALID")
    return node.op_type == "Conv" and (automatic or any(pads_of(node)))


def _rewrite(
    node: ir.Node,
    op_type: str,
    data: ir.Value | None,
    source: ir.Node,
    weights: Array,
    bias: Array,
    attributes: dict[str, ir.Attr],
) -> None:
    """Make `node` compute `op_type` with new parameters named after those of `source`."""
    like = source.inputs[1]
    assert like is not None
    stem = (like.name or "weights").removesuffix("/folded")
    inputs = [data, like]
    if not np.array_equal(weights, constant_of(like)):  # type: ignore[arg-type]
        inputs[1] = _named(node, f"{stem}/folded", weights, like)
    if bias.any():
        inputs.append(_named(node, f"{stem}/bias", bias, like))
    become(node, op_type, inputs, attributes)


def _constant(node: ir.Node, name: str, array: Array, like: ir.Value) -> ir.Value:
    return _named(node, f"{node.outputs[0].name}/{name}", array, like)


def _named(node: ir.Node, name: str, array: Array, like: ir.Value) -> ir.Value:
    assert like.dtype is not None
    return add_initializer(graph_of(node), name, array.astype(like.dtype.numpy()), like)
