"""Searches replayed over tables, and the page that shows them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import tuning_page
from benchmarks.markdown import MARK
from benchmarks.tuning import (
    POINTS,
    Table,
    judge,
    replay,
    replay_by_chance,
    summarise,
    trials_needed,
    without,
)
from benchmarks.tuning_page import PAGE, draw, render
from edgecompile.tuning.cost_model import Prior
from edgecompile.tuning.database import Database
from tests.support.tuning import made_up_task
from tests.tuning.test_cost_model import measured


@pytest.fixture(scope="module")
def table() -> Table:
    """A small made-up task, of which one candidate fails."""
    task, costs = made_up_task(0)
    values: list[float | None] = [float(cost) for cost in costs]
    values[5] = None
    description = dict(task.workload.description) | {"name": "made up"}
    return Table(
        "conv3x3",
        "float32",
        type(task)(type(task.workload)(description), task.candidates, task.features),
        values,
    )


def test_a_replay_comes_near_the_best_and_never_loses_it(table: Table) -> None:
    shares = replay(table, None, 0).shares
    assert len(shares) == POINTS[-1]
    assert (np.diff(shares) >= 0).all()
    assert 0.9 < shares[63] <= shares[-1] <= 1
    assert np.array_equal(shares, replay(table, None, 0).shares)
    assert shares[63] >= np.mean([replay_by_chance(table, seed)[63] for seed in range(5)])


def test_a_trained_model_is_judged_beside_an_untrained_one(table: Table) -> None:
    row = judge(table, Prior([measured(seed, 100) for seed in range(10, 16)]), seeds=2)
    assert row["failed"] == 1
    assert row["shares"]["trained"][0] == row["shares"]["by_chance"][0] == row["default"]
    needed = row["needed"]["0.95"]
    assert np.mean(needed["trained"]) < np.mean(needed["by_chance"])
    assert all(0 < stopped <= POINTS[-1] for stopped in row["stopped"]["trained"])


def test_trials_to_a_level() -> None:
    shares = np.array([0.5, 0.94, 0.96, 1.0])
    assert [trials_needed(shares, level) for level in (0.4, 0.95, 0.99)] == [1, 3, 4]
    assert trials_needed(np.array([0.5, 0.6]), 0.95) == 3


def test_means_are_of_layers_that_are_not_there_yet() -> None:
    def row(default: float, trials: int) -> dict[str, Any]:
        shares = {"trained": [default, 1.0], "untrained": [default, 1.0]}
        needed = {"trained": [trials], "untrained": [4 * trials]}
        return {"default": default, "shares": shares, "needed": {"0.95": needed, "0.99": needed}}

    mean = summarise([row(0.5, 2), row(0.5, 8), row(0.97, 1)])
    assert mean["needed"]["0.95"] == {"layers": 2, "trained": 4.0, "untrained": 16.0}
    assert mean["needed"]["0.99"]["layers"] == 3
    assert summarise([row(1.0, 1)])["needed"]["0.99"] == {"layers": 0}


def test_records_of_the_judged_layers_do_not_count(table: Table) -> None:
    from dataclasses import replace

    from tests.support.records import TRIAL

    database = Database()
    database.add(TRIAL)
    database.add(replace(TRIAL, workload=table.task.workload.key))
    assert without(database, {table.task.workload.key}).trials == [TRIAL]


def result(table: Table) -> dict[str, Any]:
    rows = [judge(table, Prior(), seeds=1)]
    prior = {"records": 1234, "kernels": 56}
    return {
        "target": "host", "metric": "seconds", "seeds": 1, "batch": 8, "points": list(POINTS), "prior": prior,
        "layers": rows, "mean": summarise(rows),
    }  # fmt: skip


def test_the_page_shows_means_and_layers(table: Table) -> None:
    text = render([result(table)])
    assert "## host, by seconds" in text
    assert "knows 1,234 records of 56 other kernels" in text
    assert "![Best speed so far against trials](tuning-host.svg)" in text
    assert "| made up | float32 |" in text
    tables = [line.count("|") for line in text.splitlines() if line.startswith("|")]
    assert set(tables) == {len([1, 8, 16, 32, 64, 128, 256]) + 2, 9}


def test_curves_stay_inside_the_picture() -> None:
    text = draw(POINTS, {"trained": np.linspace(0.4, 1, len(POINTS)).tolist()})
    corners = [tuple(map(float, pair.split(","))) for pair in text.split('points="')[1].split('"')[0].split()]
    assert corners[0] == (48.0, 232.0)
    assert corners[-1] == (512.0, 48.0)
    assert text.startswith("<svg")


def test_the_page_shows_the_results_in_the_repository() -> None:
    results = tuning_page.load_results()
    assert PAGE.read_text(encoding="utf-8").partition(MARK)[2].lstrip("\n") == render(
        results, tuning_page.load_times()
    )
    for one in results:
        drawn = draw(one["points"], one["mean"]["shares"])
        assert tuning_page.picture(PAGE, one).read_text(encoding="utf-8") == drawn


def test_what_is_written_by_hand_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, table: Table) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"by hand\n{MARK}\nold")
    (tmp_path / "host.json").write_text(json.dumps(result(table)))
    monkeypatch.setattr(tuning_page, "PAGE", page)
    monkeypatch.setattr(tuning_page, "RESULTS", tmp_path)
    monkeypatch.setattr(tuning_page, "TIMES", tmp_path / "times")
    tuning_page.main()
    assert page.read_text().startswith(f"by hand\n{MARK}\n\n## host")
    assert (tmp_path / "tuning-host.svg").exists()
