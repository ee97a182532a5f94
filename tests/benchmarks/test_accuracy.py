"""Splits, intervals and the table of the accuracy benchmark."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.accuracy_tasks import TASKS, Data, Task, zoo
from edgecompile.errors import UsageError
from edgecompile.passes.quantize.recipes import RECIPES


def coin(units: int, folds: int = 1) -> Data:
    """Data of which each unit is right where its output is its parity."""
    return Data(
        units,
        lambda unit: (np.array([unit], np.float32),),
        lambda unit, outputs: bool(outputs[0][0] == unit % 2),
        lambda outcomes: float(np.mean(outcomes)),
        lambda outputs: outputs[0],
        folds,
    )


def answers_of(data: Data, wrong: int) -> accuracy._Answers:
    """A float network that is always right, and a quantized one that fails on the first `wrong` units."""
    answers = accuracy._Answers.none()
    for unit in range(data.units):
        right = [np.array([unit % 2], np.float32)]
        answers.add(data, unit, right, right if unit >= wrong else [1 - right[0]])
    return answers


@pytest.mark.parametrize(("units", "folds", "samples"), [(4000, 1, 128), (500, 1, 125), (128, 4, 32)])
def test_units_calibrate_or_are_scored(units: int, folds: int, samples: int) -> None:
    found = list(accuracy.splits(units, folds))
    assert len(found) == folds
    for chosen, scored in found:
        assert len(chosen) == samples
        assert sorted([*chosen, *scored]) == list(range(units))
    together = np.concatenate([chosen for chosen, _ in found])
    assert len(set(together)) == len(together)


def test_equal_networks_do_not_drop() -> None:
    data = coin(50)
    assert accuracy.paired_interval(data, answers_of(data, 0)) == (0.0, 0.0)


def test_the_interval_holds_the_drop() -> None:
    data = coin(400)
    low, high = accuracy.paired_interval(data, answers_of(data, 40))
    assert 6 < low < 10 < high < 14


def test_figures_and_table() -> None:
    data = coin(400)
    row: accuracy.Row = {"network": "net", "recipe": "int8"}
    task = Task("net", "int8", 1.0, lambda: data)
    good = row | accuracy._figures(task, data, answers_of(data, 1))
    bad = row | accuracy._figures(task, data, answers_of(data, 100))
    assert (good["met"], bad["met"]) == (True, False)
    assert bad["drop"] == pytest.approx(25)
    lines = accuracy.render([good | {"compiled": bad}]).splitlines()
    assert lines[0].split()[:3] == ["NETWORK", "RECIPE", "N"]
    assert lines[1].endswith("met")
    assert lines[2].startswith("net (binary)")
    assert lines[2].endswith("missed")


def test_agreement_has_a_bar_too() -> None:
    data = coin(400)
    task = Task("net", "int8", 50.0, lambda: data, least_agreement=95.0)
    assert not accuracy._figures(task, data, answers_of(data, 30))["met"]
    assert accuracy._figures(task, data, answers_of(data, 10))["met"]


def test_tasks_name_recipes_that_exist() -> None:
    assert {task.recipe for task in TASKS} <= set(RECIPES)


def test_the_folder_of_models_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGECOMPILE_ZOO", raising=False)
    with pytest.raises(UsageError, match="set EDGECOMPILE_ZOO"):
        zoo()
