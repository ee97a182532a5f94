"""Indices of Gather and Slice along an axis of which parts were cut."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, add_initializer, constant_of
from edgecompile.passes.prune.assign import set_constant
from edgecompile.passes.prune.trace import shape_of
from edgecompile.passes.rewriting import graph_of, insert

# An axis, and whether each index along it stays.
Cut = tuple[int, Array]
_STARTS, _ENDS, _AXES, _STEPS = 1, 2, 3, 4


def rewrite_gather(node: ir.Node, cut: Cut | None) -> None:
    """Renumber what is left of constant indices into the axis that was `cut`."""
    indices = constant_of(node.inputs[1])
    axis = node.attributes.get_int("axis", 0) % len(shape_of(node.inputs[0]))
    if cut is None or indices is None or axis != cut[0]:
        return
    stays = cut[1]
    indices = indices % len(stays)
    for other in range(indices.ndim):
        left = np.moveaxis(stays[indices], other, 0).reshape(indices.shape[other], -1).any(axis=1)
        indices = indices.compress(left, other)
    set_constant(node, 1, _ranks(stays)[indices].astype(np.int64))


def rewrite_slice(node: ir.Node, cut: Cut | None) -> None:
    """Slice what is left; where that has no regular distances any more, a Gather takes it out before."""
    starts, ends, axes, steps = (_constant(node, index) for index in (_STARTS, _ENDS, _AXES, _STEPS))
    if cut is None or starts is None or ends is None:
        return
    rank, (axis, stays) = len(shape_of(node.outputs[0])), cut
    axes = np.arange(len(starts)) if axes is None else axes % rank
    steps = np.ones_like(starts) if steps is None else steps
    if axis not in axes:
        return
    place = axes.tolist().index(axis)
    taken = range(len(stays))[slice(int(starts[place]), int(ends[place]), int(steps[place]))]
    indices = _ranks(stays)[[index for index in taken if stays[index]]]
    distances = set(np.diff(indices).tolist())
    if len(distances) > 1 or min(distances, default=1) < 1:
        _gather_before(node, axis, indices)
        indices, distances = np.arange(len(indices)), {1}
    starts[place], ends[place], steps[place] = indices[0], indices[-1] + 1, min(distances, default=1)
    node.resize_inputs(_STEPS + 1)
    for index, array in ((_STARTS, starts), (_ENDS, ends), (_AXES, axes), (_STEPS, steps)):
        if node.inputs[index] is None:
            new = add_initializer(graph_of(node), f"{node.name}/{index}", array.astype(np.int64))
            node.replace_input_with(index, new)
        else:
            set_constant(node, index, array)


def _constant(node: ir.Node, index: int) -> Array | None:
    array = constant_of(node.inputs[index]) if index < len(node.inputs) else None
    return None if array is None else array.copy()


def _gather_before(node: ir.Node, axis: int, indices: Array) -> None:
    """Let `node` slice the elements `indices` along `axis` of its operand."""
    data = node.inputs[0]
    shape = list(shape_of(data))
    shape[axis] = len(indices)
    constant = add_initializer(graph_of(node), f"{node.name}/indices", indices.astype(np.int64))
    node.replace_input_with(0, insert(node, "Gather", [data, constant], {"axis": axis}, shape=shape))


def _ranks(stays: Array) -> Array:
    """The new index of each old one that stays."""
    return np.cumsum(stays) - 1
