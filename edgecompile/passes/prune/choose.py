"""Which units stay: the most important ones of each group, as many as a step of a path says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgecompile.passes.edit import Array
from edgecompile.passes.prune.costs import Counts

Units = dict[str, list[int]]


def best_units(scores: Mapping[str, Array], counts: Counts) -> Units:
    """The units of the highest scores in the order of their indices; groups that stay whole are left out."""
    found = {}
    for name, count in counts.items():
        if count < len(scores[name]):
            order = np.argsort(-scores[name], kind="stable")
            found[name] = sorted(int(unit) for unit in order[:count])
    return found


def first_that(path: Sequence[Counts], holds: Callable[[Counts], bool]) -> int | None:
    """The first step of `path` that `holds`, all behind it doing so too; None if the last does not."""
    if not holds(path[-1]):
        return None
    low, high = 0, len(path) - 1
    while low < high:
        middle = (low + high) // 2
        if holds(path[middle]):
            high = middle
        else:
            low = middle + 1
    return high


def cubic_shares(final: float, rounds: int) -> list[float]:
    """What is left after each of `rounds`, down to `final`: much is cut early, little late.

    M. Zhu, S. Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model compression"
    (2017).
    """
    return [final + (1 - final) * (1 - (index + 1) / rounds) ** 3 for index in range(rounds)]
