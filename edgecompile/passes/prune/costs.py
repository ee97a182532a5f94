"""What a network costs, and what it will cost with fewer units, without cutting it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.macs import macs_of
from edgecompile.passes.prune.groups import Group

# What is to shrink, as a number: multiply-accumulates, bytes, instructions, ...
Cost = Callable[[Model], float]
# How many units of each group are left, by name; a group that is not named keeps all.
Counts = Mapping[str, int]

_NOT_PARAMETERS = "iub"


def macs(model: Model) -> float:
    """Multiply-accumulates of one inference."""
    return float(sum(macs_of(node) for node in model.graph.graph))


def parameters(model: Model) -> float:
    """Elements of all constants that are floats."""
    arrays = map(constant_of, model.graph.graph.initializers.values())
    return float(sum(a.size for a in arrays if a is not None and a.dtype.kind not in _NOT_PARAMETERS))


class Estimate:
    """MACs and parameters of `model` for any number of units in its `groups`.

    All units of a group count alike, and products of two activations as they are.
    """

    def __init__(self, model: Model, groups: Sequence[Group]) -> None:
        graph = model.graph.graph
        self._sizes = {str(v.name): prod(static_shape(v) or (0,)) for v in graph.initializers.values()}
        self._macs: dict[str, int] = {}
        self._fixed = 0
        for node in graph:
            weights = [str(value.name) for value in node.inputs[1:2] if value is not None]
            if weights and weights[0] in self._sizes:
                self._macs[weights[0]] = self._macs.get(weights[0], 0) + macs_of(node)
            else:
                self._fixed += macs_of(node)
        # Of each axis of a constant: the share of indices that a group owns.
        self._shares: dict[str, dict[int, dict[str, float]]] = {}
        self._units = {group.name: group.size for group in groups}
        shapes = {str(v.name): static_shape(v) or () for v in graph.initializers.values()}
        for group in groups:
            for member in group.members:
                owned = sum(map(len, member.positions)) / shapes[member.initializer][member.axis]
                axes = self._shares.setdefault(member.initializer, {})
                axes.setdefault(member.axis % len(shapes[member.initializer]), {})[group.name] = owned

    def macs(self, counts: Counts) -> float:
        """Multiply-accumulates with so many units."""
        return self._fixed + sum(macs * self._left(name, counts) for name, macs in self._macs.items())

    def parameters(self, counts: Counts) -> float:
        """Elements of all constants with so many units."""
        return sum(size * self._left(name, counts) for name, size in self._sizes.items())

    def _left(self, name: str, counts: Counts) -> float:
        return prod(
            1.0
            - sum(owned * (1 - counts.get(g, self._units[g]) / self._units[g]) for g, owned in axis.items())
            for axis in self._shares.get(name, {}).values()
        )
