"""Ways from the whole network to the smallest one: which groups give up units, and when.

A path is a list of counts of units by group, each step leaving less than the one before, so that whatever is
to shrink is reached by looking for the first step that is small enough.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np

from edgecompile.passes.edit import Array
from edgecompile.passes.prune.costs import Counts, Estimate
from edgecompile.passes.prune.groups import Group

Allocation = Literal["uniform", "global", "sensitivity"]
# How the outputs suffer when a group keeps so many units; 0 for all of them.
Curves = Mapping[str, Mapping[int, float]]

# Steps of a path, and levels of a group at most.
_STEPS, _LEVELS = 64, 16


def levels(group: Group, multiple: int) -> list[int]:
    """How many units of `group` may be left, falling: all of them, and multiples of `multiple`.

    The least is one `multiple`, or a single unit of a group that has no more units than that.
    """
    unit = multiple if group.size > multiple else 1
    step = max(unit, round(group.size / _LEVELS / unit) * unit)
    least = unit
    counts = range((group.size - 1) // unit * unit, least - 1, -step)
    return list(dict.fromkeys([group.size, *counts, least]))


def uniform_path(groups: Sequence[Group], multiple: int) -> list[dict[str, int]]:
    """All groups keep the same share of their units."""
    shares = 1.0 - np.arange(_STEPS + 1) / _STEPS
    return _without_repeats(
        [{g.name: rounded(g, share * g.size, multiple) for g in groups} for share in shares]
    )


def global_path(groups: Sequence[Group], scores: Mapping[str, Array], multiple: int) -> list[dict[str, int]]:
    """The least important units of all groups go first, scores taken relative to the mean of the group."""
    sizes = {group.name: group.size for group in groups}
    relative = {name: scores[name] / (np.mean(scores[name]) or 1.0) for name in sizes}
    bars = np.quantile(np.concatenate(list(relative.values())), np.arange(_STEPS + 1) / _STEPS)
    return _without_repeats(
        [
            {g.name: rounded(g, float((relative[g.name] >= bar).sum()), multiple) for g in groups}
            for bar in bars
        ]
    )


def sensitivity_path(
    groups: Sequence[Group],
    curves: Curves,
    estimate: Estimate,
    multiple: int,
    by_parameters: bool = False,
) -> list[dict[str, int]]:
    """The next step is taken where the error grows least for what is saved: MACs, or parameters.

    Errors of groups add up, being nearly independent; what a step saves depends on those before it.
    """
    cost = estimate.parameters if by_parameters else estimate.macs
    state = {group.name: group.size for group in groups}
    path = [dict(state)]
    queue = [(0.0, name, count) for name, count in state.items()]
    while queue:
        # What steps save only falls, so an old price is a lower bound of the new one.
        _, name, _ = heapq.heappop(queue)
        found = _cheapest(name, state, curves[name], cost)
        if found is None:
            continue
        price, count = found
        if queue and price > queue[0][0] + 1e-12:
            heapq.heappush(queue, (price, name, count))
            continue
        path += [{**state, name: between} for between in _between(state[name], count, multiple)]
        state[name] = count
        heapq.heappush(queue, (price, name, count))
    return path


def error_curve(group: Group, scores: Array, multiple: int) -> dict[int, float]:
    """The error with any number of units, for scores that are errors once all lower ones are gone."""
    unit, rising = multiple if group.size > multiple else 1, np.sort(scores)
    return {group.size: 0.0} | {n: float(rising[-n - 1]) for n in range(unit, group.size, unit)}


def rounded(group: Group, count: float, multiple: int) -> int:
    """The nearest number of units to `count` that is a multiple of `multiple`, at least one; or all units."""
    unit = multiple if group.size > multiple else 1
    if count > group.size - unit / 2:
        return group.size
    return max(round(count / unit) * unit, unit)


def _between(start: int, end: int, multiple: int) -> list[int]:
    """Counts below `start` down to `end`, so that a budget is not missed by a whole step."""
    return sorted({end, *(count for count in range(end, start) if count % multiple == 0)}, reverse=True)


def _cheapest(
    name: str, state: Counts, curve: Mapping[int, float], cost: Callable[[Counts], float]
) -> tuple[float, int] | None:
    """Error by saving of the best step of group `name`, and where it leads."""
    now, before = cost(state), curve[state[name]]
    prices = [
        (max(error - before, 0.0) / max(now - cost({**state, name: count}), 1e-9), count)
        for count, error in curve.items()
        if count < state[name]
    ]
    return min(prices, default=None)


def _without_repeats(path: Sequence[dict[str, int]]) -> list[dict[str, int]]:
    """Steps that leave as much as the one before are left out; no group may grow again."""
    steps = [path[0]]
    for step in path[1:]:
        step = {name: min(count, steps[-1][name]) for name, count in step.items()}
        if step != steps[-1]:
            steps.append(step)
    return steps
