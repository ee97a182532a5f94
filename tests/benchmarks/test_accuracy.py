"""Splits, rows and how they are merged and judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.accuracy_contenders import CONTENDERS, OURS, PEERS
from benchmarks.accuracy_tasks import TASKS, zoo
from edgecompile.core.model import Model
from edgecompile.errors import UsageError
from edgecompile.passes.quantize.recipes import RECIPES
from tests.benchmarks.test_accuracy_figures import coin
from tests.passes.quantize.networks import graph

Row = dict[str, Any]


def row(network: str, recipe: str, agreement: float = 97.0, drop: float = 0.0) -> Row:
    found: Row = {"network": network, "recipe": recipe, "executed_by": "onnxruntime", "n": 100}
    found |= {"float": 0.9, "quantized": 0.9 - drop / 100, "drop": drop, "interval": [drop - 0.5, drop + 0.5]}
    return found | {"agreement": agreement, "sqnr_db": 20.0}


@pytest.mark.parametrize(("units", "folds", "samples"), [(4000, 1, 128), (500, 1, 125), (128, 4, 32)])
def test_units_calibrate_or_are_scored(units: int, folds: int, samples: int) -> None:
    found = list(accuracy.splits(units, folds))
    assert len(found) == folds
    for chosen, scored in found:
        assert len(chosen) == samples
        assert sorted([*chosen, *scored]) == list(range(units))
    together = np.concatenate([chosen for chosen, _ in found])
    assert len(set(together)) == len(together)


def test_every_unit_of_a_fold_that_did_not_calibrate_is_scored() -> None:
    """In batches, against a network that rounds its input away."""
    data = coin(160, folds=4)
    exact = graph("float[1] x => float[1] y", "y = Neg(x)")
    asked: list[int] = []

    def quantize(model: Model, samples: Any) -> Model:
        asked.extend(int(sample["x"][0]) for sample in samples)
        return model

    before = accuracy._Remembered(data, accuracy._executed(exact))
    (found,) = accuracy._measure_contender(data, exact, before, quantize, compiled=False)
    assert sorted(asked) == list(range(160))
    assert (found["n"], found["samples"], found["folds"]) == (4 * 120, 40, 4)
    assert (found["drop"], found["agreement"]) == (0.0, 100.0)


def test_the_binary_has_a_row_of_its_own() -> None:
    data = coin(8)
    model = graph("float[1] x => float[1] y", "y = Neg(x)")
    before = accuracy._Remembered(data, accuracy._executed(model))
    found = accuracy._measure_contender(data, model, before, lambda model, samples: model, compiled=True)
    assert [one["executed_by"] for one in found] == ["onnxruntime", "binary"]
    assert found[1]["agreement"] == 100.0


def test_rows_of_a_network_and_recipe_are_replaced() -> None:
    first = accuracy.merged({}, [row("kws_dscnn", "int8"), row("vww_mobilenet", "int8", drop=9.0)])
    second = accuracy.merged(first, [row("kws_dscnn", "int8", agreement=1.0)])
    assert [(one["network"], one["agreement"]) for one in second["rows"]] == [
        ("kws_dscnn", 1.0),
        ("vww_mobilenet", 97.0),
    ]
    assert [one["met"] for one in second["rows"]] == [True, False]


def test_others_are_beaten_whenever_they_were_measured() -> None:
    mine = row("mobilenetv2_imagenet", "int8", agreement=97.0)
    peer = row("mobilenetv2_imagenet", "onnxruntime minmax", agreement=97.5)
    assert accuracy.merged({}, [mine])["rows"][0]["met"]
    later = accuracy.merged(accuracy.merged({}, [mine]), [peer])["rows"]
    assert not later[0]["met"]
    assert not accuracy.holds(later[0])
    assert accuracy.holds(later[1])


def test_what_failed_is_said() -> None:
    ours = {"network": "kws_dscnn", "recipe": "int8", "error": "no\nsamples"}
    theirs = ours | {"recipe": "onnxruntime minmax"}
    assert [accuracy.holds(one) for one in (ours, theirs)] == [False, True]
    assert accuracy.render([ours]).splitlines()[1].split() == ["kws_dscnn", "int8", "failed"]


def test_the_table() -> None:
    merged = accuracy.merged({}, [row("kws_dscnn", "int8"), row("kws_dscnn", "onnxruntime minmax")])
    lines = accuracy.render(merged["rows"]).splitlines()
    assert lines[0].split()[:3] == ["NETWORK", "RECIPE", "N"]
    assert lines[1].endswith("met")
    assert lines[2].split()[:3] == ["kws_dscnn", "onnxruntime", "minmax"]


@pytest.mark.parametrize(("drop", "said"), [(0.4, "met"), (0.9, "met by the interval"), (1.1, "missed")])
def test_a_bar_that_only_the_interval_holds_is_called_so(drop: float, said: str) -> None:
    (found,) = accuracy.merged({}, [row("kws_dscnn", "int8", drop=drop)])["rows"]
    assert accuracy.cells(found)[-1] == said


def test_tasks_and_contenders_name_recipes_that_exist() -> None:
    assert set(OURS) <= set(RECIPES)
    assert {recipe for task in TASKS for recipe in task.bars} <= set(OURS)
    assert set(CONTENDERS) == {*OURS, *PEERS}
    assert accuracy.COMPILED in OURS


def test_the_folder_of_models_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGECOMPILE_ZOO", raising=False)
    with pytest.raises(UsageError, match="set EDGECOMPILE_ZOO"):
        zoo()
