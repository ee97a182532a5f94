"""A sweep measures every candidate, and goes on where it was."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import sweep, tuning
from benchmarks.layers import Layer
from benchmarks.tuning import read_tables
from edgecompile.core.target import find_target
from edgecompile.tuning.database import Database

TARGET = find_target("cortex-m55")


@pytest.fixture(autouse=True)
def one_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "LAYERS", {"dense": (Layer("dense", 64, 40),)})


def test_it_goes_on_and_its_records_are_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "ENOUGH", 1)
    sweep.sweep(TARGET, "float32", tmp_path, 0.0)
    sweep.sweep(TARGET, "float32", tmp_path, math.inf)
    trials = Database.open(tmp_path).trials
    (table,) = read_tables(TARGET, Database.open(tmp_path), "instructions")
    assert len(table.values) == len(trials) == len({str(trial.candidate) for trial in trials})
    assert table.values[0] is not None
    assert table.best <= table.values[0]
    sweep.sweep(TARGET, "float32", tmp_path, math.inf)
    assert len(Database.open(tmp_path).trials) == len(trials)


def test_layers_of_the_campaign_are_not_swept() -> None:
    from benchmarks.campaign import read_plans
    from edgecompile.core.data import data_folder

    plans = read_plans(data_folder("tuning_logs") / "campaign.toml")
    shipped = {layer for plan in plans.values() for layers in plan.families.values() for layer in layers}
    assert not shipped & {layer for layers in sweep.LAYERS.values() for layer in layers}
