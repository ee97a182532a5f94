"""Operators whose result depends on the place of an element: diagonals, triangles, one-hot vectors."""

from __future__ import annotations

import math

import numpy as np
from tvm import te, tirx, topi

from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.math import Expr, cast, const, select
from edgecompile.lower.pointwise import normalized_axis, scalar
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Trilu", kind=Kind.ELEMENTWISE)
def trilu(n: NodeView) -> Tensor:
    """The part of matrices on and above (upper=1) or below diagonal k, zero elsewhere."""
    data, upper = n.input(0), bool(n.attr("upper", 1))
    diagonal = cast(scalar(n.input(1)), "int32") if n.has(1) else const(0, "int32")
    zero = const(0, n.outputs[0].dtype)

    def kept(*index: Expr) -> Expr:
        offset = index[-1] - index[-2]
        inside = offset >= diagonal if upper else offset <= diagonal
        return select(inside, data(*index), zero)

    return te.compute(n.outputs[0].shape, kept, name="trilu")


@op("EyeLike", kind=Kind.ELEMENTWISE)
def eye_like(n: NodeView) -> Tensor:
    """Ones on diagonal k."""
    info, k = n.outputs[0], int(n.attr("k", 0))
    one, zero = const(1, info.dtype), const(0, info.dtype)
    return te.compute(info.shape, lambda i, j: select(tirx.EQ(j - i, k), one, zero), name="eye")


@op("OneHot", kind=Kind.ANCHOR, static=(1,))
def one_hot(n: NodeView) -> Tensor:
    """values[1] where the place along the new axis is the index, else values[0]."""
    indices, values, info = n.input(0), n.input(2), n.outputs[0]
    axis = normalized_axis(n, n.attr("axis", -1), len(info.shape))
    depth = info.shape[axis]

    def hot(*index: Expr) -> Expr:
        wanted = indices(*index[:axis], *index[axis + 1 :])
        at = cast(wanted, "int32")
        at = select(at < 0, at + depth, at)
        return select(tirx.EQ(at, index[axis]), values(1), values(0))

    return te.compute(info.shape, hot, name="one_hot")


@op("ConstantOfShape", kind=Kind.ELEMENTWISE, static=(0,))
def constant_of_shape(n: NodeView) -> Tensor:
    """One value everywhere."""
    info, value = n.outputs[0], n.attr("value")
    fill = const(value.numpy().item() if value is not None else 0.0, info.dtype)
    return te.compute(info.shape, lambda *_: fill, name="fill")


@op("Range", kind=Kind.ELEMENTWISE, static=(0, 1, 2))
def range_(n: NodeView) -> Tensor:
    """start + i * delta."""
    info = n.outputs[0]
    start, delta = (const(n.require_const(i).item(), info.dtype) for i in (0, 2))
    return te.compute(info.shape, lambda i: start + cast(i, info.dtype) * delta, name="range")


@op("Compress", kind=Kind.ANCHOR, static=(1,))
def compress(n: NodeView) -> Tensor:
    """The slices of one axis (or the elements of the flattened data) where a constant condition holds."""
    data, chosen = n.input(0), np.flatnonzero(n.require_const(1))
    axis, shape = n.attr("axis"), n.outputs[0].shape
    places = n.weight(chosen.astype(np.int32), "places")
    if axis is None:
        data, axis = topi.reshape(data, (math.prod(shape_of(data)),)), 0
    at = normalized_axis(n, axis, len(data.shape))
    return te.compute(shape, lambda *i: data(*i[:at], places(i[at]), *i[at + 1 :]), name="compress")
