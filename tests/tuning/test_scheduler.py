"""Which task comes next, and how much of the speed within reach has been reached."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecompile.tuning.cost_model import CostModel
from edgecompile.tuning.scheduler import choose_task, expected_saving, reached_share
from edgecompile.tuning.search import Search
from tests.support.tuning import made_up_task


def search(seed: int = 0, weight: int = 1, trials: int = 0, goal: int | None = None) -> Search:
    """A search after so many trials."""
    task, costs = made_up_task(seed)
    made = Search(replace(task, weight=weight), CostModel(), np.random.default_rng(seed), goal)
    while len(made.values) < trials:
        made.record({place: float(costs[place]) for place in made.propose(8)})
    return made


def test_tasks_without_a_trial_come_first() -> None:
    assert choose_task([search(trials=8, weight=100), search(1), search(2)]) == 1


def test_what_is_called_more_often_may_save_more() -> None:
    assert choose_task([search(trials=16), search(trials=16, weight=9)]) == 1


def test_what_was_proposed_is_not_fresh() -> None:
    waiting = search(1)
    waiting.propose(8)
    assert choose_task([waiting, search(2)]) == 1


def test_tasks_with_a_goal_take_turns_until_they_reach_it() -> None:
    searches = [search(trials=16, goal=24), search(1, trials=8, goal=24), search(2, trials=24, goal=24)]
    assert choose_task(searches) == 1
    assert choose_task([search(trials=24, goal=24)]) is None


def test_a_goal_counts_more_than_a_plateau() -> None:
    stuck = search(goal=64)
    for _ in range(6):
        stuck.record(dict.fromkeys(stuck.propose(8), 1.0))
    assert not stuck.is_done


def test_nothing_is_expected_of_a_task_that_fails() -> None:
    broken = search()
    broken.record(dict.fromkeys(broken.propose(8), None))
    assert expected_saving(broken) == 0.0


def test_the_share_is_what_the_model_leaves_to_hope_for() -> None:
    half = search()
    half.record({0: 8.0})
    half._predicted = np.full(len(half.task.candidates), 1.0, np.float32)
    half.model.fit = lambda own: None  # type: ignore[method-assign]
    half.model._trees = object()
    # All others are expected to be twice as fast.
    assert half.expected_value == pytest.approx(4.0)
    assert reached_share([half]) == pytest.approx(0.5)
    done = search(1)
    done.record({0: 24.0})
    done.goal = 1
    # 8 and 24 may become 4 and 24.
    assert reached_share([half, done]) == pytest.approx(28 / 32)


def test_nothing_is_known_before_all_tasks_have_a_figure() -> None:
    assert reached_share([search(trials=16), search(1)]) == 0.0


def test_a_search_that_has_ended_has_reached_everything() -> None:
    assert reached_share([search(trials=16, goal=16)]) == 1.0
