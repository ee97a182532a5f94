"""One spelling for "the same elements under another shape": Reshape to a constant shape.

before: Flatten(x), Squeeze(x, axes), Unsqueeze(x, axes)    after: Reshape(x, shape)
before: Transpose(x) that moves axes of size 1 only         after: Reshape(x, shape)
before: Reshape(Reshape(x, a), b)                           after: Reshape(x, b)
before: Reshape(x, shape of x)                              after: x
before: ReduceMax(x, axes, keepdims=0)                      after: Reshape(ReduceMax(x, axes, keepdims=1))
before: Gather(x, 3, axis=1)                                after: Reshape(Slice(x, 3, 4, axis=1))
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.matching import produced_by, scalar
from edgecompile.passes.movement import Movement, permutation_of
from edgecompile.passes.rewriting import become, forward, graph_of, insert, rewrite_nodes

_ALIASES = frozenset({"Flatten", "Squeeze", "Unsqueeze"})
_REDUCTIONS = frozenset(
    """
    ReduceMean ReduceSum ReduceSumSquare ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp
    ReduceMax ReduceMin ReduceProd ArgMax ArgMin
    """.split()
)


class RewriteReshape:
    """Make every change of shape a Reshape, and as few of them as possible."""

    name = "rewrite_reshape"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        rules = (_alias, _transpose_of_ones, _keep_reduced_axes, _gather_one, _merge)
        return rewrite_nodes(model, "changes of shape simplified", *rules)


def become_reshape(node: ir.Node, value: ir.Value | None) -> None:
    """Make the result of `node` a view of `value`: a Reshape, or `value` itself where the shapes agree."""
    while first := produced_by(value, "Reshape"):
        value = first.inputs[0]
    result = node.outputs[0]
    shape = static_shape(result)
    assert value is not None
    renamed = result.is_graph_output() and (value.producer() is None or value.is_graph_output())
    if static_shape(value) == shape and not renamed:
        forward(node, value)
        return
    target = add_initializer(graph_of(node), f"{result.name}/shape", np.array(shape, np.int64))
    become(node, "Reshape", [value, target], {"allowzero": 1})


def _alias(node: ir.Node) -> bool:
    if node.op_type not in _ALIASES or node.domain or static_shape(node.outputs[0]) is None:
        return False
    become_reshape(node, node.inputs[0])
    return True


def _transpose_of_ones(node: ir.Node) -> bool:
    shape = static_shape(node.inputs[0]) if node.op_type == "Transpose" and not node.domain else None
    if shape is None or 0 in shape:
        return False
    moved = Movement.of(shape).transpose(permutation_of(node))
    if moved is None or not moved.is_reshape:
        return False
    become_reshape(node, node.inputs[0])
    return True


def _merge(node: ir.Node) -> bool:
    """Skip a Reshape in front of a Reshape; drop one that changes nothing."""
    source, result = (node.inputs[0] if node.inputs else None), node.outputs[0]
    if node.op_type != "Reshape" or node.domain or source is None or static_shape(result) is None:
        return False
    needless = static_shape(source) == static_shape(result) and not result.is_graph_output()
    if needless or produced_by(source, "Reshape"):
        become_reshape(node, source)
        return True
    return False


def _keep_reduced_axes(node: ir.Node) -> bool:
    """A reduction keeps its axes, as size 1, and a Reshape removes them: layouts can then be changed."""
    drops = not node.attributes.get_int("keepdims", 1)
    shape = (
        static_shape(node.inputs[0]) if node.op_type in _REDUCTIONS and drops and not node.domain else None
    )
    if shape is None:
        return False
    axes = _reduced_axes(node, len(shape))
    if axes is None or static_shape(node.outputs[0]) is None:
        return False
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    attributes = {**node.attributes, "keepdims": 1}
    dtype = node.outputs[0].dtype
    reduced = insert(node, node.op_type, node.inputs, attributes, shape=kept, dtype=dtype)
    become_reshape(node, reduced)
    return True


def _reduced_axes(node: ir.Node, rank: int) -> set[int] | None:
    """The axes that a reduction runs over; None when they are not known."""
    if node.op_type in ("ArgMax", "ArgMin"):
        return {node.attributes.get_int("axis", 0) % rank}
    if len(node.inputs) < 2 or node.inputs[1] is None:
        return set() if node.attributes.get_int("noop_with_empty_axes", 0) else set(range(rank))
    axes = constant_of(node.inputs[1])
    if axes is None or (not axes.size and rank):
        return None
    return {int(axis) % rank for axis in axes.flat}


def _gather_one(node: ir.Node) -> bool:
    """Gather with a constant scalar index is a Slice of one element, without that axis."""
    shape = static_shape(node.inputs[0]) if node.op_type == "Gather" and not node.domain else None
    if shape is None or static_shape(node.inputs[1]) != () or constant_of(node.inputs[0]) is not None:
        return False
    number = scalar(node.inputs[1])
    axis = node.attributes.get_int("axis", 0) % len(shape)
    if number is None or not -shape[axis] <= number < shape[axis]:
        return False
    start = int(number) % shape[axis]
    kept = tuple(1 if i == axis else size for i, size in enumerate(shape))
    bounds = [_ints(node, name, [n]) for name, n in (("start", start), ("end", start + 1), ("axis", axis))]
    become_reshape(node, insert(node, "Slice", [node.inputs[0], *bounds], shape=kept))
    return True


def _ints(node: ir.Node, name: str, numbers: list[int]) -> ir.Value:
    hint = f"{node.outputs[0].name}/{name}"
    return add_initializer(graph_of(node), hint, np.array(numbers, np.int64))
