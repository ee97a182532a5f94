"""Coupled groups: what has to be cut together, and by which slices of which initializers.

A unit is the least that can be removed: a channel with all that a residual sum ties to it, an attention head,
a hidden neuron. Units that touch the same axes of the same initializers make a group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecompile.errors import Problem, UnsupportedError, did_you_mean
from edgecompile.passes.edit import Array

Role = Literal["producer", "consumer", "carried"]
Kind = Literal["channels", "neurons", "heads", "hidden"]

# Group name -> the units that stay; groups that are not named stay whole.
Keep = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Member:
    """One axis of an initializer: unit u owns the indices `positions[u]` along `axis`.

    A "producer" computes the units (weights along their outputs, and the bias), a "consumer" reads them
    (weights along their inputs), what is "carried" belongs to them without mixing (depthwise weights,
    parameters of BatchNormalization, constants of one element a channel).
    """

    initializer: str
    axis: int
    positions: tuple[tuple[int, ...], ...]
    role: Role


@dataclass(frozen=True)
class Group:
    """`size` interchangeable units, named after the node that computes them first.

    `frozen` says why the group cannot be cut, `inexact` why a cut changes more than what it removes. `nodes`
    are the names of all nodes whose weights belong to the group, in the network's order.
    """

    name: str
    size: int
    kind: Kind
    members: tuple[Member, ...]
    nodes: tuple[str, ...] = ()
    frozen: str = ""
    inexact: str = ""


@dataclass(frozen=True)
class Use:
    """Input `index` of `node` reads `initializer`, whose `axis` has units in the given role."""

    node: str
    index: int
    initializer: str
    axis: int
    role: Role


@dataclass(frozen=True)
class Reader:
    """Input `data` of `node`, at which units end: they are summed over along `axis` of that input.

    A constant c in place of a unit is the constant W c in the result, added to input `bias` (None: the
    operator has none). `weight` is the index of W, units along its `weight_axis` and results along
    `out_axis`; None where the other factor is no constant, so that only zeros can be left out.
    """

    node: str
    data: int
    axis: int
    weight: int | None = None
    weight_axis: int = 0
    out_axis: int = 0
    bias: int | None = None


@dataclass(frozen=True)
class Dependencies:
    """All groups of a network, and where their units are.

    Units are numbered through all groups; `slots` has the unit of each index along an axis of an initializer,
    `values` the axis of a tensor along which units lie and the unit of each index. -1 is what always stays.
    """

    groups: tuple[Group, ...]
    slots: Mapping[tuple[str, int], Array]
    values: Mapping[str, tuple[int, Array]]
    uses: tuple[Use, ...]
    readers: tuple[Reader, ...]

    def kept(self, keep: Keep) -> Array:
        """Whether each unit stays, and True at the end for index -1.

        Raises UnsupportedError: EC4520 for a name that is no group, EC4521 for a frozen group, EC4522 when
        nothing is kept of a group, EC4523 for units that it does not have.
        """
        known = {group.name: group for group in self.groups}
        problems = [problem for name, units in keep.items() for problem in _problems(known, name, units)]
        if problems:
            raise UnsupportedError(*problems)
        parts = [np.ones(group.size, bool) for group in self.groups]
        for part, group in zip(parts, self.groups, strict=True):
            if group.name in keep:
                part[:] = False
                part[list(keep[group.name])] = True
        return np.concatenate([*parts, [True]])

    def group_of(self) -> list[Group]:
        """The group of each unit."""
        return [group for group in self.groups for _ in range(group.size)]


def _problems(known: Mapping[str, Group], name: str, units: Sequence[int]) -> list[Problem]:
    """What is wrong with keeping `units` of the group `name`."""
    group = known.get(name)
    if group is None:
        return [
            Problem("EC4520", "there is no group of that name", name, "", did_you_mean(name, list(known)))
        ]
    outside = sorted({unit for unit in units if not 0 <= unit < group.size})
    if outside:
        why = f"it has the units 0 to {group.size - 1}, not {outside[0]}"
        return [Problem("EC4523", "the group has no such unit", name, why, "number units from 0")]
    if not len(units):
        fix = "keep at least one unit, or remove the layer"
        return [Problem("EC4522", "nothing would be left of the group", name, "", fix)]
    if group.frozen and len(set(units)) < group.size:
        return [Problem("EC4521", "the group cannot be cut", name, group.frozen, "leave it out")]
    return []


def index_map(dependencies: Dependencies, keep: Keep) -> list[dict[str, object]]:
    """For each axis of an initializer that is cut: the old index of every new one, as data for a report."""
    kept = dependencies.kept(keep)
    return [
        {"initializer": name, "axis": axis, "old_indices": np.nonzero(kept[units])[0].tolist()}
        for (name, axis), units in dependencies.slots.items()
        if not kept[units].all()
    ]
