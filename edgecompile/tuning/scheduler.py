"""Which task to spend the next batch on: the one that is expected to save the network most time.

The idea is that of L. Zheng et al., "Ansor" (2020), section 6; the expectation comes from the cost model.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.tuning.search import Search

# What is hoped for where the model predicts nothing better, as a share: it may be wrong.
_HOPE = 0.02


def choose_task(searches: Sequence[Search]) -> int | None:
    """The place of the search to go on with; None when all are done. Tasks without any figure come first."""
    open_ones = [place for place, search in enumerate(searches) if not search.is_done]
    fresh = [place for place in open_ones if not searches[place].values]
    if fresh:
        return fresh[0]
    return max(open_ones, key=lambda place: expected_saving(searches[place]), default=None)


def expected_saving(search: Search) -> float:
    """How much one execution of the network may gain by a faster kernel of this task, in its metric."""
    if search.default is None or search.best is None:
        return 0.0
    best = search.values[search.best]
    assert best is not None
    left = [place for place in range(len(search.task.candidates)) if place not in search.values]
    gain = 0.0
    if left and search.model.is_trained:
        reached = np.log2(search.default / best)
        gain = max(float(search.model.predict(search.task.features[left]).max()) - reached, 0.0)
    return float(search.task.weight * best * (1 - 2.0**-gain + _HOPE))
