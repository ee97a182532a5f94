"""Which task to spend the next batch on: the one that is expected to save the network most time.

The idea is that of L. Zheng et al., "Ansor" (2020), section 6; the expectation comes from the cost model.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecompile.tuning.search import Search

# What is hoped for where the model predicts nothing better, as a share: it may be wrong.
_HOPE = 0.02


def choose_task(searches: Sequence[Search]) -> int | None:
    """The place of the search to go on with; None when all are done.

    Tasks that nothing was proposed of come first. Those with a goal take turns.
    """
    open_ones = [place for place, search in enumerate(searches) if not search.is_done]
    fresh = [place for place in open_ones if not searches[place].tried]
    if fresh:
        return fresh[0]
    if any(searches[place].goal is not None for place in open_ones):
        return min(open_ones, key=lambda place: searches[place].tried)
    return max(open_ones, key=lambda place: expected_saving(searches[place]), default=None)


def expected_saving(search: Search) -> float:
    """How much one execution of the network may gain by a faster kernel of this task, in its metric."""
    value = search.best_value
    if value is None:
        return 0.0
    return search.task.weight * (value * (1 + _HOPE) - search.expected_value)


def reached_share(searches: Sequence[Search]) -> float:
    """The speed of the network now as a share of what it is expected to be when all is tuned, 0 to 1.

    What a task can still reach is the best that the cost model predicts of the candidates that are left, and
    nothing where the search has ended. 0 while there is a task without a figure.
    """
    if any(search.best_value is None and not search.is_done for search in searches):
        return 0.0
    known = [(search.task.weight, search.best_value, search.expected_value) for search in searches]
    now = sum(weight * value for weight, value, _ in known if value is not None)
    expected = sum(weight * least for weight, value, least in known if value is not None)
    return expected / now if now else 1.0
