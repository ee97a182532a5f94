"""Convolutions and matrix products: units end at their weights, and new ones begin.

The labels of what is read become those of the weights' input axis, the result gets new ones. A grouped
convolution with many narrow groups, such as a depthwise one, is cut by whole groups, one with few wide groups
by the same places in all of them, so that groups stay equally wide.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.groups import Reader, Role
from edgecompile.passes.prune.labels import first, spread
from edgecompile.passes.prune.operators.elementwise import combine
from edgecompile.passes.prune.trace import Trace, name_of, shape_of


def convolution(trace: Trace, node: ir.Node) -> None:
    """Conv (weights [outputs, inputs a group, ...]) and ConvTranspose ([inputs, outputs a group, ...])."""
    if constant_of(node.inputs[1]) is None:
        return trace.stop(node, f"the weights of '{name_of(node)}' are computed")
    groups = node.attributes.get_int("group", 1)
    transposed = node.op_type == "ConvTranspose"
    inputs = trace.channels(node)
    outputs = trace.labels.fresh(shape_of(node.outputs[0])[1])
    rows, columns = inputs.reshape(groups, -1), outputs.reshape(groups, -1)
    role: Role = "carried" if groups > rows.shape[1] else "producer"
    if role == "carried":
        trace.labels.tie_along(rows, [1])
        trace.labels.tie(columns, rows[:, :1])
        trace.weigh(node, 1, 0, role, inputs if transposed else outputs)
    else:
        trace.labels.tie_along(rows, [0])
        trace.labels.tie_along(columns, [0])
        along = (inputs, columns[0]) if transposed else (outputs, rows[0])
        for axis, labels in enumerate(along):
            part: Role = "producer" if (axis == 1) == transposed else "consumer"
            trace.weigh(node, 1, axis, part, labels)
        axes = (0, 1) if transposed else (1, 0)
        trace.readers.append(Reader(name_of(node), 0, 1, 1, *axes, bias=2))
    trace.weigh(node, 2, 0, role, outputs)
    return trace.set_channels(node, outputs)


def gemm(trace: Trace, node: ir.Node) -> None:
    """A B + C, B constant; C is a vector or a matrix."""
    turned = node.attributes.get_int("transB", 0)
    if node.attributes.get_int("transA", 0) or constant_of(node.inputs[1]) is None:
        return trace.stop(node)
    weights = (1, 0) if turned else (0, 1)
    if not _product(trace, node, 0, 1, 1, weights, bias=2):
        if len(node.inputs) > 2 and max(shape_of(node.inputs[2])[:-1], default=1) > 1:
            trace.stop(node)
        return None
    added = node.inputs[2] if len(node.inputs) > 2 else None
    if added is not None and constant_of(added) is None:
        trace.set(node.outputs[0], combine(trace, node, [node.outputs[0], added], shape_of(node.outputs[0])))
    elif added is not None and shape_of(added)[-1:] == shape_of(node.outputs[0])[1:]:
        labels = trace.labels.vector(trace.of(node.outputs[0]), 1)
        trace.weigh(node, 2, len(shape_of(added)) - 1, "producer", labels)
    return None


def matmul(trace: Trace, node: ir.Node) -> None:
    """A product with a constant matrix on one side, or of two activations."""
    constant = [constant_of(value) is not None for value in node.inputs]
    ranks = [len(shape_of(value)) for value in node.inputs]
    if constant[1] and ranks[1] == 2:
        _product(trace, node, 0, ranks[0] - 1, 1, (0, 1))
    elif constant[0] and ranks[0] == 2 and ranks[1] > 1:
        _product(trace, node, 1, ranks[1] - 2, 0, (1, 0))
    elif any(constant) or min(ranks) < 2:
        trace.stop(node)
    else:
        _product_of_activations(trace, node)


def _product(
    trace: Trace,
    node: ir.Node,
    data: int,
    axis: int,
    weight: int,
    weight_axes: tuple[int, int],
    bias: int | None = None,
) -> bool:
    """The labels of a product over `axis` of input `data`; False when units pass by it as whole rows."""
    labels, shape = trace.of(node.inputs[data]), shape_of(node.outputs[0])
    place = axis - labels.ndim + len(shape)
    varying = trace.labels.varying(labels)
    if varying and axis not in varying:
        matrix = node.inputs[weight]
        assert matrix is not None
        trace.leave_whole(matrix, f"units pass by '{name_of(node)}' as rows")
        trace.set(node.outputs[0], np.broadcast_to(first(labels, axis), shape))
        return False
    inner, outer = trace.labels.vector(labels, axis), trace.labels.fresh(shape[place])
    trace.weigh(node, weight, weight_axes[0], "consumer", inner)
    trace.weigh(node, weight, weight_axes[1], "producer", outer)
    trace.readers.append(Reader(name_of(node), data, axis, weight, *weight_axes, bias=bias))
    trace.set(node.outputs[0], spread(outer, shape, place))
    return True


def _product_of_activations(trace: Trace, node: ir.Node) -> None:
    """Where labels vary between the matrices of a batch, a matrix is one unit (a head), else columns are."""
    shape = shape_of(node.outputs[0])
    left, right = (_batched(trace.of(value), shape) for value in node.inputs)
    varying = [trace.labels.varying(side) for side in (left, right)]
    rows, columns = len(shape) - 2, len(shape) - 1
    if any(axis < rows for axes in varying for axis in axes):
        if has_frozen_heads(trace, *map(trace.of, node.inputs)):
            trace.stop(node)
        else:
            heads = tie_heads(trace, node, left, right)
            trace.set(node.outputs[0], heads[..., None, None])
    elif columns in varying[0] or rows in varying[1]:
        trace.labels.tie(trace.labels.vector(left, columns), trace.labels.vector(right, rows))
        for index, axis in enumerate((-1, -2)):
            trace.readers.append(Reader(name_of(node), index, len(shape_of(node.inputs[index])) + axis))
        trace.set_whole(node.outputs[0], f"the sums of node '{name_of(node)}'")
    elif rows in varying[0]:
        trace.set(node.outputs[0], np.broadcast_to(left[..., :1], shape))
        trace.labels.tie_along(right, [columns])
    else:
        trace.set(node.outputs[0], np.broadcast_to(right[..., :1, :], shape))


def has_frozen_heads(trace: Trace, *factors: Array) -> bool:
    """Whether the heads of one of `factors` [batch..., rows, columns] cannot be cut, where another's can."""
    varying = [{axis - f.ndim for axis in trace.labels.varying(f) if axis < f.ndim - 2} for f in factors]
    cut = set().union(*varying)
    return any(
        not own and any(factor.shape[axis] > 1 for axis in cut if factor.ndim >= -axis)
        for own, factor in zip(varying, factors, strict=True)
    )


def tie_heads(trace: Trace, node: ir.Node, *factors: Array) -> Array:
    """Make one unit of each matrix of the batch, in all `factors`; the labels [batch...] of the matrices.

    A factor that is the same for the whole batch stays whole.
    """
    heads: Array | None = None
    for labels in factors:
        if not any(axis < labels.ndim - 2 for axis in trace.labels.varying(labels)):
            trace.labels.freeze(labels, f"all heads of '{name_of(node)}' read it")
            continue
        trace.labels.tie_along(labels, (-2, -1))
        heads = labels[..., 0, 0] if heads is None else heads
        trace.labels.tie(heads, labels[..., 0, 0])
    assert heads is not None
    trace.heads.append(heads)
    return heads


def _batched(labels: Array, shape: tuple[int, ...]) -> Array:
    """`labels` of a factor, broadcast to the batch axes of the product's `shape`."""
    return np.broadcast_to(labels, (*shape[:-2], *labels.shape[-2:]))


RULES = {"Conv": convolution, "ConvTranspose": convolution, "Gemm": gemm, "MatMul": matmul}
