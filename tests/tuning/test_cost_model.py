"""The cost model learns from other tasks and from the task itself."""

from __future__ import annotations

import numpy as np

from edgecompile.tuning.cost_model import FAILED, CostModel, Measured, Prior, gains_of
from tests.support.tuning import made_up_task


def measured(seed: int, count: int) -> Measured:
    """`count` random candidates of a task."""
    task, costs = made_up_task(seed)
    chosen = np.random.default_rng(seed).choice(len(costs), count, replace=False)
    return Measured(task.features[chosen], gains_of(list(costs[chosen]), float(costs[0])))


def rank_correlation(model: CostModel, seed: int) -> float:
    task, costs = made_up_task(seed)
    predicted = np.argsort(np.argsort(model.predict(task.features)))
    return float(np.corrcoef(predicted, np.argsort(np.argsort(-costs)))[0, 1])


def test_gains_are_logarithms_of_speed_ups() -> None:
    np.testing.assert_allclose(gains_of([1.0, 4.0, 0.5, None], 2.0), [1, -1, 2, FAILED])


def test_it_learns_from_a_few_measurements() -> None:
    model = CostModel()
    assert not model.is_trained
    model.fit(measured(1, 4))
    assert not model.is_trained
    model.fit(measured(1, 64))
    assert rank_correlation(model, 1) > 0.8


def test_what_other_tasks_taught_helps_from_the_start() -> None:
    model = CostModel(Prior([measured(seed, 100) for seed in range(10, 14)]))
    assert rank_correlation(model, 1) > 0.8


def test_failures_are_expected_to_be_slow() -> None:
    task, costs = made_up_task(2)
    chosen = np.random.default_rng(0).choice(len(costs), 200, replace=False)
    fails = task.features[chosen][:, 0] > 10
    values = [None if bad else float(cost) for bad, cost in zip(fails, costs[chosen], strict=True)]
    model = CostModel()
    model.fit(Measured(task.features[chosen], gains_of(values, float(costs[0]))))
    predicted = model.predict(task.features)
    tall = task.features[:, 0] > 10
    assert predicted[tall].max() < predicted[~tall].max()
    assert predicted[tall].mean() < FAILED / 2


def test_the_same_measurements_teach_the_same() -> None:
    first, second = (CostModel(Prior([measured(5, 60)])) for _ in range(2))
    features = made_up_task(6)[0].features
    np.testing.assert_array_equal(first.predict(features), second.predict(features))
