"""What LayerNormalization and RMSNormalization have in common: d / sqrt(mean(d^2) + epsilon).

Spellings covered: Div by Sqrt, Mul by Reciprocal(Sqrt), by 1 / Sqrt, or by Pow(_, -0.5); the square as
Mul(d, d) or Pow(d, 2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.matching import only_reader, other_input, produced_by, scalar
from edgecompile.passes.rewriting import graph_of


@dataclass(frozen=True)
class RootMeanSquare:
    """`last` computes deviation / sqrt(mean(deviation^2 over axes >= `axis`) + `epsilon`)."""

    last: ir.Node
    deviation: ir.Value
    axis: int
    epsilon: float


def match_root_mean_square(node: ir.Node) -> RootMeanSquare | None:
    """Match with `node` as the Add of epsilon."""
    if node.op_type != "Add" or node.domain:
        return None
    for mean, constant in (node.inputs, node.inputs[::-1]):
        epsilon, reduce = scalar(constant), produced_by(mean, "ReduceMean")
        axis = trailing_axis(reduce) if reduce else None
        if epsilon is None or epsilon < 0 or reduce is None or axis is None:
            continue
        deviation = _square_root(reduce.inputs[0])
        last = _division(node.outputs[0], deviation) if deviation else None
        if deviation and last:
            return RootMeanSquare(last, deviation, axis, epsilon)
    return None


def trailing_axis(node: ir.Node) -> int | None:
    """The first of the axes that a keepdims reduction runs over, when they are all the last ones."""
    shape = static_shape(node.inputs[0])
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if shape is None or axes is None or not axes.size or not node.attributes.get_int("keepdims", 1):
        return None
    rank = len(shape)
    first = min(int(axis) % rank for axis in axes.flat)
    return first if sorted(int(axis) % rank for axis in axes.flat) == list(range(first, rank)) else None


def affine_after(result: ir.Value, op_type: str, shape: tuple[int, ...]) -> tuple[ir.Node, ir.Value] | None:
    """The only reader of `result`, an `op_type` with a constant that broadcasts to `shape`; the constant."""
    node = only_reader(result)
    if node is None or node.op_type != op_type or node.domain:
        return None
    operand = other_input(node, result)
    array = constant_of(operand)
    if operand is None or array is None or math.prod(array.shape[: -len(shape)]) != 1:
        return None
    trailing = array.shape[-len(shape) :]
    fits = len(trailing) <= len(shape) and np.broadcast_shapes(trailing, shape) == shape
    return (node, operand) if fits else None


def parameter(node: ir.Node, value: ir.Value | None, shape: tuple[int, ...], like: ir.Value) -> ir.Value:
    """A constant of exactly `shape` and of the type of `like`: `value` broadcast, or ones without it."""
    array = constant_of(value)
    array = np.ones(1, np.float32) if array is None else array
    full = np.broadcast_to(array.reshape(array.shape[-len(shape) :]), shape)
    assert like.dtype is not None
    name = value.name if value is not None else f"{node.outputs[0].name}/scale"
    return add_initializer(graph_of(node), f"{name}", full.astype(like.dtype.numpy()), like)


def _square_root(value: ir.Value | None) -> ir.Value | None:
    """d, when `value` is d squared."""
    node = produced_by(value, "Mul", "Pow")
    if node is None:
        return None
    first, second = node.inputs
    is_square = first is second if node.op_type == "Mul" else scalar(second) == 2.0
    return first if is_square else None


def _division(variance: ir.Value, deviation: ir.Value) -> ir.Node | None:
    """The node that computes deviation / sqrt(variance)."""
    root = only_reader(variance)
    if root is None:
        return None
    if root.op_type == "Pow" and scalar(root.inputs[1]) == -0.5:
        return _product(root.outputs[0], deviation)
    if root.op_type != "Sqrt" and not (root.op_type == "Pow" and scalar(root.inputs[1]) == 0.5):
        return None
    user = only_reader(root.outputs[0])
    if user is None:
        return None
    if user.op_type == "Div" and user.inputs[0] is deviation:
        return user
    inverts = user.op_type == "Reciprocal" or (user.op_type == "Div" and scalar(user.inputs[0]) == 1.0)
    return _product(user.outputs[0], deviation) if inverts else None


def _product(inverse: ir.Value, deviation: ir.Value) -> ir.Node | None:
    user = only_reader(inverse)
    return user if user is not None and user.op_type == "Mul" and deviation in user.inputs else None
