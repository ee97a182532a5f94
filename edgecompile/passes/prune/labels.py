"""Labels of tensor elements, and which labels stand for the same unit.

Elements with the same label are removed together. Two labels become one by `tie`; a union-find, all steps of
it on whole arrays. Label tensors have the shapes of the tensors that they label, but an axis along which
nothing varies has stride 0, so that an image of 224 x 224 costs no more than its channels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.passes.edit import Array


class Labels:
    """Numbers from 0 on; `tie` and `freeze` say what is known of them."""

    def __init__(self) -> None:
        self._parents: Array = np.zeros(0, np.int32)
        self._frozen: list[tuple[Array, str]] = []

    def fresh(self, shape: int | Sequence[int]) -> Array:
        """New labels, each of its own."""
        count = int(np.prod(shape))
        new = np.arange(len(self._parents), len(self._parents) + count, dtype=np.int32)
        self._parents = np.concatenate([self._parents, new])
        return new.reshape(shape)

    def roots(self, labels: Array) -> Array:
        """The least label of those that each of `labels` is tied to."""
        roots = self._parents[compact(labels)]
        while not np.array_equal(roots, above := self._parents[roots]):
            roots = above
        return np.broadcast_to(roots, labels.shape)

    def tie(self, left: Array, right: Array) -> None:
        """Make one of the labels at equal places of `left` and `right`, which broadcast."""
        left, right = (compact(side) for side in np.broadcast_arrays(left, right))
        left, right = np.broadcast_arrays(left, right)
        while True:
            one, other = self.roots(left).ravel(), self.roots(right).ravel()
            differ = one != other
            if not differ.any():
                return
            one, other = one[differ], other[differ]
            np.minimum.at(self._parents, np.maximum(one, other), np.minimum(one, other))

    def tie_along(self, labels: Array, axes: Iterable[int]) -> None:
        """Make one of all labels that differ only in their indices along `axes`."""
        for axis in axes:
            self.tie(labels, first(labels, axis))

    def vector(self, labels: Array, axis: int) -> Array:
        """The labels along `axis`, tied along all other axes."""
        self.tie_along(labels, (other for other in range(labels.ndim) if other != axis % labels.ndim))
        return labels[tuple(slice(None) if k == axis % labels.ndim else 0 for k in range(labels.ndim))]

    def varying(self, labels: Array) -> list[int]:
        """The axes along which there is more than one unit."""
        roots = self.roots(labels)
        small = compact(roots)
        return [axis for axis in range(small.ndim) if (small != first(small, axis)).any()]

    def freeze(self, labels: Array, why: str) -> None:
        """Say that no element with one of `labels` can be removed; the first reason counts."""
        self._frozen.append((np.unique(compact(labels)), why))

    def reasons(self) -> dict[int, str]:
        """Why units are frozen, by their roots."""
        found: dict[int, str] = {}
        for labels, why in self._frozen:
            for root in np.unique(self.roots(labels)).tolist():
                found.setdefault(root, why)
        return found


def compact(labels: Array) -> Array:
    """`labels` with length 1 along axes of stride 0."""
    return labels[tuple(slice(0, 1) if step == 0 else slice(None) for step in labels.strides)]


def first(labels: Array, axis: int) -> Array:
    """The part of `labels` at index 0 of `axis`, which stays as an axis of length 1."""
    return labels[(slice(None),) * (axis % labels.ndim) + (slice(0, 1),)]


def shrink(labels: Array) -> Array:
    """The same tensor with stride 0 along all axes along which it does not vary."""
    small = labels
    for axis in range(labels.ndim):
        begin = first(small, axis)
        small = begin if (small == begin).all() else small
    return np.broadcast_to(small, labels.shape)


def spread(vector: Array, shape: Sequence[int], axis: int) -> Array:
    """A label tensor of `shape` that varies along `axis` only, as `vector` does."""
    column = vector.reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))])
    return np.broadcast_to(column, tuple(shape))
