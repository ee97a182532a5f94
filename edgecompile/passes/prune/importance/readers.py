"""Who reads the units of a group, and with which weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.contractions import Contraction, find_contractions
from edgecompile.passes.prune.groups import Group, Member
from edgecompile.passes.prune.importance.criterion import Scores, open_groups
from edgecompile.passes.prune.importance.magnitude import Magnitude


@dataclass(frozen=True)
class Reader:
    """A contraction that reads the units of a group: unit u is the rows `rows[u]` of its weights [K, N]."""

    contraction: Contraction
    rows: tuple[Array, ...]


def find_readers(model: Model, groups: Iterable[Group], widest: float = inf) -> dict[str, list[Reader]]:
    """The contractions that read each group's units, in rows of at most `widest`, by the group's name."""
    of_weights: dict[str, list[Contraction]] = {}
    for contraction in find_contractions(model):
        of_weights.setdefault(contraction.weights, []).append(contraction)
    return {
        group.name: [
            Reader(contraction, _rows(member, contraction.taps))
            for member in group.members
            if member.role == "consumer"
            for contraction in of_weights.get(member.initializer, ())
            if contraction.width <= widest
        ]
        for group in groups
    }


def by_readers(
    model: Model,
    groups: Sequence[Group],
    readers: Mapping[str, Sequence[Reader]],
    measure: Callable[[Reader], Array],
) -> Scores:
    """The sum of what `measure` says of all readers of a group; of groups without, the size of weights."""
    without = [group for group in open_groups(groups) if not readers[group.name]]
    scores = Magnitude(order=2).score(model, without)
    for group in open_groups(groups):
        if readers[group.name]:
            scores[group.name] = np.sum([measure(reader) for reader in readers[group.name]], axis=0)
    return scores


def _rows(member: Member, taps: int) -> tuple[Array, ...]:
    return tuple(
        (np.array(positions, np.int64)[:, None] * taps + np.arange(taps)).reshape(-1)
        for positions in member.positions
    )
