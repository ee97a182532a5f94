"""Drops, their intervals, agreement and bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.accuracy_figures import Answers, figures, judged, paired_interval
from benchmarks.accuracy_tasks import Bar, Data


def coin(units: int, folds: int = 1) -> Data:
    """Data of which each unit is right where its output is its parity."""
    return Data(
        units,
        lambda unit: (np.array([unit], np.float32),),
        lambda unit, outputs: bool(outputs[0].ravel()[0] == unit % 2),
        lambda outcomes: float(np.mean(outcomes)),
        lambda outputs: outputs[0].ravel(),
        folds,
    )


def answers_of(data: Data, wrong: int) -> Answers:
    """A float network that is always right, and a quantized one that fails on the first `wrong` units."""
    answers = Answers()
    for unit in range(data.units):
        right = [np.array([unit % 2], np.float32)]
        answers.add(data, unit, right, right if unit >= wrong else [1 - right[0]])
    return answers


def test_equal_networks_do_not_drop() -> None:
    data = coin(50)
    assert paired_interval(data, answers_of(data, 0)) == (0.0, 0.0)


def test_the_interval_holds_the_drop() -> None:
    data = coin(400)
    low, high = paired_interval(data, answers_of(data, 40))
    assert 6 < low < 10 < high < 14


def test_the_figures() -> None:
    data = coin(400)
    found = figures(data, answers_of(data, 100))
    assert (found["n"], found["float"], found["quantized"]) == (400, 1.0, 0.75)
    assert (found["drop"], found["agreement"]) == pytest.approx((25, 75))


def test_decisions_may_be_none() -> None:
    data = replace(coin(8), decide=lambda outputs: np.zeros(0))
    assert figures(data, answers_of(data, 2))["agreement"] is None


@pytest.mark.parametrize(
    ("bar", "wrong", "met"),
    [
        (Bar(1.0), 1, True),
        (Bar(1.0), 100, False),
        (Bar(50.0, least_agreement=95.0), 10, True),
        (Bar(50.0, least_agreement=95.0), 30, False),
        (Bar(50.0, beats_peers=True), 10, True),
        (Bar(50.0, beats_peers=True), 16, False),
    ],
)
def test_a_bar_holds_or_does_not(bar: Bar, wrong: int, met: bool) -> None:
    data = coin(400)
    found = judged(figures(data, answers_of(data, wrong)), bar, [{"agreement": 96.0}, {"agreement": None}])
    assert found["met"] is met
    assert found["bar"]["largest_drop"] == bar.largest_drop
