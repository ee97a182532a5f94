"""The campaign that makes the shipped records: what it tunes, that it goes on, and what it chooses."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import campaign
from benchmarks.campaign import TargetPlan, choose, current, goals, main, read_plans, run, wanted
from benchmarks.layers import Layer, save_layers
from edgecompile.core.data import data_folder
from edgecompile.core.target import load_targets
from edgecompile.tuning.database import Database
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.record import Trial, encode
from tests.support.records import TRIAL, WORKLOAD

DENSE = Layer("dense", 64, 40)
PLAN = TargetPlan("cortex-a72", 20, 10_000, (), {"classifier": [DENSE]})


def plans() -> dict[str, TargetPlan]:
    return read_plans(data_folder("tuning_logs") / "campaign.toml")


def test_the_plans_in_the_repository() -> None:
    found = plans()
    assert set(found) <= set(load_targets())
    assert sum(plan.bytes for plan in found.values()) <= 10_000_000
    assert all(plan.trials >= (200 if name in ("host", "x86-64-v3") else 64) for name, plan in found.items())
    assert "mobilenetv2_imagenet" in found["host"].networks
    assert "mobilenetv2_imagenet" not in found["cortex-m4"].networks
    assert all(
        layer.outputs or layer.operator == "depthwise" for layer in found["host"].families["mobilenet"]
    )


def test_every_round_has_twice_as_many_trials() -> None:
    assert goals(64) == [16, 32, 64]
    assert goals(200) == [16, 32, 64, 128, 200]
    assert goals(8) == [8]


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """No networks, and no copies in int8."""
    monkeypatch.setattr(campaign, "find_networks", lambda *_, **__: [])
    monkeypatch.setattr(campaign, "quantized_copy", lambda network, folder: network.path)


def find_tasks(folder: Path) -> list[KernelTask]:
    return campaign.collect_tasks(PLAN, folder / "networks")


@pytest.mark.usefixtures("sources")
def test_it_stops_in_time_and_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "find_sources", lambda plan, folder: iter([save(folder)]))
    tasks = find_tasks(tmp_path)
    assert not run(PLAN, tmp_path, time.monotonic())
    assert run(PLAN, tmp_path, math.inf)
    before = Database.open(tmp_path / "cortex-a72").trials
    assert len(before) == wanted(tasks, 20)
    assert run(PLAN, tmp_path, math.inf)
    assert Database.open(tmp_path / "cortex-a72").trials == before


def save(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return save_layers([DENSE], folder / "dense.onnx")


@pytest.mark.usefixtures("sources")
def test_what_the_design_space_no_longer_has_is_not_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "find_sources", lambda plan, folder: iter([save(folder)]))
    (found,) = find_tasks(tmp_path)
    key = found.task.workload.key
    fits = replace(TRIAL, workload=key, candidate=found.task.candidates[1], features=(1.0,))
    database = Database()
    for trial in (fits, replace(fits, candidate={"rows": 999}), replace(fits, workload="other")):
        database.add(trial)
    (kept,) = current(database, [found]).trials
    assert kept.candidate == found.task.candidates[1]
    assert len(kept.features) == found.task.features.shape[1]


def test_what_is_shipped_fits_and_has_the_best_and_the_default() -> None:
    database = Database()
    database.add(WORKLOAD)
    for number in range(50):
        database.add(replace(TRIAL, candidate={"rows": number}, value=1e-5 * (1 + number), baseline=2e-5))
    limit = 3000
    best, others = choose(database, limit)
    assert limit / 2 < sum(len(encode(record)) for record in (*best, *others)) <= limit
    assert [record.candidate["rows"] for record in best if isinstance(record, Trial)] == [0, 1]
    assert others
    assert {trial.candidate["rows"] for trial in others} <= set(range(2, 50))
    assert choose(database, limit) == (best, others)
    # The best is shipped in any case.
    assert choose(database, 1) == (best, [])


def test_a_target_without_a_plan_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--records", str(tmp_path), "--targets", "cortex-m44"]) == 2
    assert "did you mean 'cortex-m4'" in capsys.readouterr().err
