"""Chains of Reshape and Transpose as one thing: a permutation of factors of a shape.

Reshape keeps the order of elements, Transpose permutes axes. So after any chain of the two the elements are
those of the root, seen as a tensor of small axes ("atoms", factors of the root's axes) in another order.
For example a channel shuffle [1, 6, h] -> [2, 3, h] -> transpose(1, 0, 2) -> [1, 6, h] has the atoms
(2, 3, h) in the order (1, 0, 2). Two chains are the same when these are; a chain whose order is sorted is a
mere Reshape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import add_initializer, static_shape
from edgecompile.passes.matching import produced_by
from edgecompile.passes.rewriting import graph_of, insert

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Movement:
    """`atoms` are sizes in the root's order, none 1; `order` lists them as the result has them; its `shape`.

    >>> Movement.of((2, 3, 4)).transpose((2, 0, 1))
    Movement(atoms=(6, 4), order=(1, 0), shape=(4, 2, 3))
    """

    atoms: Shape
    order: Shape
    shape: Shape

    @staticmethod
    def of(shape: Sequence[int]) -> Movement:
        """No movement of a tensor of `shape`; no dimension may be 0."""
        return Movement((math.prod(shape),), (0,), tuple(shape)) if math.prod(shape) > 1 else _unit(shape)

    @property
    def is_reshape(self) -> bool:
        return self.order == tuple(range(len(self.order)))

    def reshape(self, shape: Sequence[int]) -> Movement:
        """Followed by a Reshape to `shape`."""
        return Movement(self.atoms, self.order, tuple(shape))

    def transpose(self, perm: Sequence[int]) -> Movement | None:
        """Followed by a Transpose; None when the axes are no products of atoms and cannot be made so."""
        split = self.split_result()
        if split is None:
            return None
        moved, groups = split
        order = [atom for axis in perm for atom in groups[axis]]
        return _canonical(moved.atoms, order, [self.shape[axis] for axis in perm])

    def split_root(self, shape: Shape) -> Movement | None:
        """The same movement with atoms so fine that each axis of the root's `shape` is a product of them."""
        parts = _refine(self.atoms, shape)
        return None if parts is None else self._with_parts(list(range(len(self.atoms))), parts[0])

    def split_result(self) -> tuple[Movement, list[list[int]]] | None:
        """The same movement with finer atoms, and for each axis of the result the atoms it is made of."""
        parts = _refine([self.atoms[i] for i in self.order], self.shape)
        if parts is None:
            return None
        moved = self._with_parts(list(self.order), parts[0])
        groups, start = [], 0
        for count in parts[1]:
            groups.append(list(moved.order[start : start + count]))
            start += count
        return moved, groups

    def _with_parts(self, atoms: list[int], parts: list[list[int]]) -> Movement:
        """Replace each of `atoms` by its `parts`."""
        pieces = dict(zip(atoms, parts, strict=True))
        first = np.cumsum([0, *(len(pieces[i]) for i in range(len(self.atoms)))]).tolist()
        sizes = tuple(size for i in range(len(self.atoms)) for size in pieces[i])
        order = tuple(first[i] + k for i in self.order for k in range(len(pieces[i])))
        return Movement(sizes, order, self.shape)


def _unit(shape: Sequence[int]) -> Movement:
    return Movement((), (), tuple(shape))


def _canonical(atoms: Shape, order: Sequence[int], shape: Sequence[int]) -> Movement:
    """Join atoms that are neighbours before and after."""
    runs: list[list[int]] = []
    for atom in order:
        if runs and runs[-1][-1] + 1 == atom:
            runs[-1].append(atom)
        else:
            runs.append([atom])
    by_root = sorted(range(len(runs)), key=lambda i: runs[i][0])
    sizes = tuple(math.prod(atoms[atom] for atom in runs[i]) for i in by_root)
    return Movement(sizes, tuple(by_root.index(i) for i in range(len(runs))), tuple(shape))


def _refine(sizes: Sequence[int], shape: Shape) -> tuple[list[list[int]], list[int]] | None:
    """Cut `sizes` so that each dimension of `shape` is a run of pieces.

    Returns the pieces of each size and the number of pieces of each dimension; None when they do not align.
    """
    pieces: list[list[int]] = [[] for _ in sizes]
    counts = [0] * len(shape)
    at, left = 0, (sizes[0] if sizes else 1)
    for axis, size in enumerate(shape):
        need = size
        while need > 1:
            if left == 1:
                at, left = at + 1, sizes[at + 1]
            piece = min(left, need)
            if left % piece or need % piece:
                return None
            pieces[at].append(piece)
            counts[axis] += 1
            left, need = left // piece, need // piece
    return pieces, counts


def trace(value: ir.Value) -> tuple[ir.Value, Movement, list[ir.Node]]:
    """Follow `value` up through Reshape and Transpose: the root, the movement since, the nodes passed.

    The nodes are in the order of the walk, last one first.
    """
    chain: list[ir.Node] = []
    best: tuple[ir.Value, Movement, list[ir.Node]] | None = None
    root = value
    while True:
        shape = static_shape(root)
        moved = _replay(shape, chain) if shape is not None and 0 not in shape else None
        if moved is None:
            break
        best = (root, moved, list(chain))
        node = produced_by(root, "Reshape", "Transpose")
        if node is None or node.inputs[0] is None:
            break
        chain.append(node)
        root = node.inputs[0]
    if best is None:
        return value, Movement((), (), static_shape(value) or ()), []
    return best


def permutation_of(node: ir.Node) -> Shape:
    """The perm of a Transpose; without one, axes are reversed."""
    rank = len(static_shape(node.inputs[0]) or ())
    return tuple(node.attributes.get_ints("perm") or range(rank - 1, -1, -1))


def emit(before: ir.Node, root: ir.Value, movement: Movement) -> ir.Value:
    """Insert in front of `before` what does `movement`: at most Reshape, Transpose, Reshape."""
    shape = static_shape(root)
    assert shape is not None
    if movement.is_reshape:
        return insert_reshape(before, root, movement.shape)
    steps = direct_permutation(shape, movement) or permutation_last(movement)
    if steps is None:
        moved = tuple(movement.atoms[i] for i in movement.order)
        steps = (movement.atoms, movement.order, moved)
    value = insert_reshape(before, root, steps[0])
    value = insert(before, "Transpose", [value], {"perm": steps[1]}, shape=steps[2])
    return insert_reshape(before, value, movement.shape)


def insert_reshape(before: ir.Node, value: ir.Value, shape: Shape) -> ir.Value:
    """`value` seen with another shape; `value` itself when it has that shape."""
    if static_shape(value) == shape:
        return value
    target = add_initializer(graph_of(before), f"{value.name}/shape", np.array(shape, np.int64))
    return insert(before, "Reshape", [value, target], {"allowzero": 1}, shape=shape)


# The shape that a Transpose reads, its perm, the shape that it yields.
Steps = tuple[Shape, Shape, Shape]


def direct_permutation(shape: Shape, movement: Movement) -> Steps | None:
    """One Transpose from `shape` to `movement.shape`, without any Reshape, if that does the movement."""
    if sorted(shape) != sorted(movement.shape):
        return None
    fine = movement.split_root(shape)
    if fine is None or fine.atoms != tuple(size for size in shape if size > 1):
        return None
    large = [axis for axis, size in enumerate(shape) if size > 1]
    moved = iter([large[atom] for atom in fine.order])
    ones = iter([axis for axis, size in enumerate(shape) if size == 1])
    perm = tuple(next(ones) if size == 1 else next(moved) for size in movement.shape)
    return (shape, perm, movement.shape) if tuple(shape[axis] for axis in perm) == movement.shape else None


def permutation_last(movement: Movement) -> Steps | None:
    """A Reshape, then a Transpose that yields `movement.shape`; axes of size 1 stay where they are wanted."""
    split = movement.split_result()
    if split is None:
        return None
    groups = split[1]
    if any(group != list(range(group[0], group[0] + len(group))) for group in groups if group):
        return None
    moved = iter(
        sorted((axis for axis, group in enumerate(groups) if group), key=lambda axis: groups[axis][0])
    )
    read = [next(moved) if group else axis for axis, group in enumerate(groups)]
    perm = tuple(read.index(axis) for axis in range(len(groups)))
    return tuple(movement.shape[axis] for axis in read), perm, movement.shape


def _replay(shape: Shape, chain: list[ir.Node]) -> Movement | None:
    moved: Movement | None = Movement.of(shape)
    for node in reversed(chain):
        result = static_shape(node.outputs[0])
        if moved is None or result is None:
            return None
        moved = moved.reshape(result) if node.op_type == "Reshape" else moved.transpose(permutation_of(node))
    return moved
