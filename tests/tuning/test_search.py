"""The search finds what is nearly best in a small part of the space."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.tuning.cost_model import CostModel, Prior
from edgecompile.tuning.search import Search
from tests.support.tuning import made_up_task
from tests.tuning.test_cost_model import measured


def run(seed: int, model: CostModel, trials: int, batch: int = 8) -> float:
    """The cost of the best candidate found, in units of the best one of 1000 random trials."""
    task, costs = made_up_task(seed)
    chance = np.random.default_rng(seed)
    search = Search(task, model, chance)
    for _ in range(trials // batch):
        search.record({index: float(costs[index]) for index in search.propose(batch)})
    assert search.best is not None
    return float(costs[search.best] / costs[chance.choice(len(costs), 1000, replace=False)].min())


@pytest.mark.parametrize("seed", range(4))
def test_64_trials_find_what_is_nearly_best(seed: int) -> None:
    assert run(seed, CostModel(), 64) < 1.08


def test_a_trained_model_needs_fewer_trials() -> None:
    prior = [measured(seed, 100) for seed in range(10, 16)]
    warm = [run(seed, CostModel(Prior(prior)), 32) for seed in range(6)]
    cold = [run(seed, CostModel(), 32) for seed in range(6)]
    assert np.mean(warm) < np.mean(cold)
    assert np.mean(warm) < 1.05


def test_the_default_is_measured_first_and_nothing_twice() -> None:
    task, costs = made_up_task(0)
    search = Search(task, CostModel(), np.random.default_rng(0))
    seen: list[int] = []
    while not search.is_done:
        batch = search.propose(100)
        seen += batch
        search.record({index: float(costs[index]) for index in batch})
    assert seen[0] == 0
    assert len(seen) == len(set(seen))


def test_it_stops_when_nothing_gets_better() -> None:
    task, _ = made_up_task(0)
    search = Search(task, CostModel(), np.random.default_rng(0))
    batches = 0
    while not search.is_done:
        search.record(dict.fromkeys(search.propose(16), 1.0))
        batches += 1
    assert batches == 4


def test_failures_are_not_tried_again_and_never_best() -> None:
    task, _ = made_up_task(0)
    search = Search(task, CostModel(), np.random.default_rng(0))
    first = search.propose(8)
    search.record(dict.fromkeys(first, None))
    assert search.best is None
    assert search.default is None
    assert not set(first) & set(search.propose(8))
