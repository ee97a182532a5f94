"""How soon a whole network is tuned: watched, and compared with what the shipped records make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import tuning_time
from benchmarks.tuning_page import render
from benchmarks.tuning_time import State, at, judge, main
from edgecompile.core.target import find_target
from edgecompile.tuning import shipped
from edgecompile.tuning.session import Budget
from edgecompile.tuning.shipped import open_records
from edgecompile.tuning.tune import TuneOptions, tune
from tests.support.networks import save, small_cnn

TARGET = find_target("cortex-m4")
STATES = [State(2.0, 8, {"a": {"rows": 1}}), State(5.0, 16, {"a": {"rows": 2}}), State(9.0, 24, {})]


def test_the_last_state_before_a_moment_counts() -> None:
    assert at(STATES, [1.0, 4.0, 5.0, 100.0]) == STATES
    assert at(STATES, [1.0]) == []


def test_shares_are_of_the_speed_by_the_records() -> None:
    row = judge(STATES, STATES, [20.0, 10.0, 15.0, None, 10.2])
    assert row["untuned"] == 0.5
    assert [moment["share"] for moment in row["moments"]] == [0.667, None, 0.98]
    assert (row["reached_s"], row["trials"], row["trials_per_minute"]) == (9.0, 24, 160)
    assert judge(STATES, STATES[:1], [20.0, 10.0, 15.0])["reached_s"] is None


def test_a_network_on_an_emulated_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped records are of this very network; the session has to find out by itself what they know."""
    path, result = save(small_cnn(), tmp_path / "small.onnx"), tmp_path / "result.json"
    tuned = tune(str(path), TuneOptions(TARGET, tmp_path / "mine", budget=Budget(trials=32)))
    (tmp_path / "tuning_logs").mkdir()
    (tmp_path / "mine").rename(tmp_path / "tuning_logs" / TARGET.name)
    monkeypatch.setattr(shipped, "data_folder", lambda name: tmp_path / name)
    monkeypatch.setattr(tuning_time, "find_networks", lambda files, names, core: [path])
    before = open_records(TARGET).trials
    assert main(["--target", TARGET.name, "--networks", "small", "--time", "5s", "--json", str(result)]) == 0
    (row,) = json.loads(result.read_text())["rows"]
    assert row["known"] == len(tuned.names)
    assert row["untuned"] < 1.0
    assert row["trials"] > 0
    assert all(moment["share"] is not None for moment in row["moments"])
    assert open_records(TARGET).trials == before
    assert "| small | cortex-m4 |" in render([], [row])


def test_a_network_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("EDGECOMPILE_ZOO", str(tmp_path))
    assert main(["--networks", "no_such", "--json", str(tmp_path / "f")]) == 2
    assert "no network 'no_such'" in capsys.readouterr().err
