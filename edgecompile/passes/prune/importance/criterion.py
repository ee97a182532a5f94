"""What a criterion of importance is, and what most of them ask about a group's units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UsageError
from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.groups import Group, Member
from edgecompile.passes.quantize.observe import Sample

# For each group that can be cut one figure a unit, by the group's name.
Scores = dict[str, Array]


class Importance(Protocol):
    """Says which units of a group are worth most.

    `score` returns float64 [units] for each of `groups` that is not frozen; larger is more important. Figures
    of different groups are only comparable where the criterion says so. `samples` are inputs of the network;
    criteria that need them raise UsageError (EC2521) without.
    """

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores: ...


class Gradients(Protocol):
    """Differentiates a network by its constants; edgecompile/torch has one.

    `fixed` yields for each sample, or several times for each, the gradient of a scalar by the constants
    called `names`. `trained` changes the constants as training does, and yields them with their gradients,
    for each step.
    """

    def fixed(
        self, model: Model, names: Sequence[str], samples: Iterable[Sample]
    ) -> Iterable[Mapping[str, Array]]: ...

    def trained(
        self, model: Model, names: Sequence[str], samples: Iterable[Sample]
    ) -> Iterable[tuple[Mapping[str, Array], Mapping[str, Array]]]: ...


def open_groups(groups: Iterable[Group]) -> list[Group]:
    """Those that can be cut."""
    return [group for group in groups if not group.frozen]


def producers(group: Group) -> Iterator[Member]:
    """The members that compute the group's units: weights and biases."""
    return (member for member in group.members if member.role == "producer")


def constants(model: Model, names: Iterable[str]) -> dict[str, Array]:
    """The constants called `names`."""
    found = {name: constant_of(model.graph.graph.initializers[name]) for name in names}
    return {name: array for name, array in found.items() if array is not None}


def along(array: Array, axis: int) -> Array:
    """The sum of `array` over all axes but one, float64."""
    others = tuple(i for i in range(array.ndim) if i != axis % array.ndim)
    return np.asarray(array.sum(others, dtype=float))


def by_unit(figures: Array, member: Member) -> Array:
    """The sum of `figures`, one for each index of the member's axis, over what each unit owns."""
    return np.array([figures[list(positions)].sum() for positions in member.positions])


def require_samples(samples: Iterable[Sample] | None, method: str) -> Iterable[Sample]:
    """`samples`, which the criterion `method` cannot do without. Raises UsageError (EC2521)."""
    if samples is None:
        what, why = f"method '{method}' needs samples", "it looks at what the network computes"
        fix = "give --calibrate data.npz, a folder, or package.module:function"
        raise UsageError(Problem("EC2521", what, "--calibrate", why, fix))
    return samples
