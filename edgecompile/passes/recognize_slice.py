"""Find strided slices that are written as Reshape, Transpose and selection.

before: x [1,6,H,W] -> Reshape [3,2,H*W] -> Transpose [2,3,H*W] -> Slice [1:2] -> Reshape [1,3,H,W]
after:  Slice(x, starts=[1], ends=[6], axes=[1], steps=[2]) [1,3,H,W]

Channel shuffles in front of a split are exported like that. Only where no Transpose is left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer, constant_of, static_shape
from edgecompile.passes.movement import Movement, Shape, trace
from edgecompile.passes.rewrite_reshape import become_reshape
from edgecompile.passes.rewriting import graph_of, insert, rewrite_nodes


class RecognizeSlice:
    """Replace selections from a transposed view by slices of the original."""

    name = "recognize_slice"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "slices of transposed views taken from the original", _slice)


@dataclass(frozen=True)
class _Selection:
    """Elements start, start + step, ... below stop along `axis`."""

    axis: int
    start: int
    stop: int
    step: int


def _slice(node: ir.Node) -> bool:
    selected = _selected(node)
    source = node.inputs[0] if selected else None
    if selected is None or source is None:
        return False
    root, moved, _ = trace(source)
    shape = static_shape(root)
    found = _in_root(moved, shape, *selected) if shape is not None and not moved.is_reshape else None
    if found is None or shape is None:
        return False
    size = len(range(found.start, found.stop, found.step))
    kept = (*shape[: found.axis], size, *shape[found.axis + 1 :])
    numbers = (found.start, found.stop, found.axis, found.step)
    name = f"{node.outputs[0].name}/bounds"
    bounds = [add_initializer(graph_of(node), name, np.array([number], np.int64)) for number in numbers]
    become_reshape(node, insert(node, "Slice", [root, *bounds], shape=kept))
    return True


def _selected(node: ir.Node) -> tuple[int, int] | None:
    """(axis, index) when `node` is a Slice that takes one index of one axis."""
    shape = static_shape(node.inputs[0]) if node.op_type == "Slice" and not node.domain else None
    if shape is None or len(node.inputs) < 4:
        return None
    starts, axes = constant_of(node.inputs[1]), constant_of(node.inputs[3])
    if starts is None or axes is None or starts.size != 1 or axes.size != 1:
        return None
    axis = int(axes.item()) % len(shape)
    taken = static_shape(node.outputs[0])
    if taken is None or taken[axis] != 1 or shape[axis] == 1:
        return None
    start = int(starts.item())
    return axis, min(start if start >= 0 else start + shape[axis], shape[axis] - 1)


def _in_root(moved: Movement, shape: Shape, axis: int, index: int) -> _Selection | None:
    """Where the elements with `index` on `axis` of the moved tensor lie in the root, if they are a slice.

    None also when the rest of the movement would still need a Transpose.
    """
    fine = moved.split_root(shape)
    split = fine.split_result() if fine is not None else None
    if split is None:
        return None
    atoms, order = split[0].atoms, split[0].order
    chosen = split[1][axis]
    rest = [atom for atom in order if atom not in chosen]
    if len(chosen) != 1 or rest != sorted(rest):
        return None
    atom, position = chosen[0], 0
    for root_axis, size in enumerate(shape):
        inside = _atoms_of_axis(atoms, position, size)
        position += len(inside)
        if atom in inside:
            outer = math.prod(atoms[a] for a in inside if a < atom)
            inner = math.prod(atoms[a] for a in inside if a > atom)
            if inner == 1:
                return _Selection(root_axis, index, size, atoms[atom])
            return _Selection(root_axis, index * inner, (index + 1) * inner, 1) if outer == 1 else None
    return None


def _atoms_of_axis(atoms: Shape, first: int, size: int) -> range:
    """The atoms, beginning at `first`, whose product is `size`."""
    last, product = first, 1
    while product < size:
        product *= atoms[last]
        last += 1
    return range(first, last)
