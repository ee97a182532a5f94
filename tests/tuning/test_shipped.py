"""Which shipped records count for a target, and what is shipped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecompile.core.data import data_folder
from edgecompile.core.target import find_target, load_target_file, load_targets
from edgecompile.tuning import shipped
from edgecompile.tuning.database import Database, relative_value
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.shipped import open_records
from tests.support.records import TRIAL, WORKLOAD


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One record for each of two targets."""
    monkeypatch.setattr(shipped, "data_folder", lambda name: tmp_path / name)
    for target in ("x86-64-v3", "cortex-a72"):
        with Journal(tmp_path / "tuning_logs" / target / "campaign.jsonl") as journal:
            journal.append([WORKLOAD, replace(TRIAL, target=target)])
    return tmp_path


def test_a_target_has_its_own(folder: Path) -> None:
    assert [trial.target for trial in open_records(find_target("cortex-a72")).trials] == ["cortex-a72"]
    assert open_records(find_target("cortex-m4")).trials == []


def test_this_machine_has_those_of_its_instructions_too(folder: Path) -> None:
    database = open_records(find_target("host"))
    assert [trial.target for trial in database.trials] == ["host"]
    assert database.best(WORKLOAD.key, "host", "seconds") is not None


def test_a_target_has_those_of_its_base(folder: Path) -> None:
    """A board that is like another one, and a CPU beside an NPU."""
    board = folder / "board.toml"
    board.write_text('schema = 1\nbase = "cortex-a72"\nname = "board"\ndescription = "A board"\n')
    assert [trial.target for trial in open_records(load_target_file(board)).trials] == ["board"]
    with Journal(folder / "tuning_logs" / "cortex-m55" / "campaign.jsonl") as journal:
        journal.append([WORKLOAD, replace(TRIAL, target="cortex-m55")])
    assert [trial.target for trial in open_records(find_target("ethos-u55-256")).trials] == ["ethos-u55-256"]


def test_own_records_count_beside_them(folder: Path) -> None:
    with Journal(folder / "mine" / "session.jsonl") as journal:
        journal.append([replace(TRIAL, target="cortex-a72", value=1e-5)])
    best = open_records(find_target("cortex-a72"), folder / "mine").best(
        WORKLOAD.key, "cortex-a72", "seconds"
    )
    assert best is not None
    assert best.value == 1e-5


def test_what_is_for_cost_models_is_not_for_compile(folder: Path) -> None:
    with Journal(folder / "tuning_logs" / "cortex-a72" / "others.jsonl") as journal:
        journal.append([replace(TRIAL, target="cortex-a72", value=1.0)])
    assert len(open_records(find_target("cortex-a72")).trials) == 2
    assert len(open_records(find_target("cortex-a72"), best_only=True).trials) == 1


def test_what_is_shipped_can_be_read_and_is_no_slower_than_the_default() -> None:
    folders = [folder for folder in data_folder("tuning_logs").iterdir() if folder.is_dir()]
    files = [path for folder in folders for path in folder.iterdir()]
    assert {folder.name for folder in folders} <= set(load_targets())
    assert sum(path.stat().st_size for path in files) <= 10_000_000
    for folder in folders:
        database = Database.open(folder)
        assert not database.damages
        trials = [trial for trial in database.trials if not trial.network]
        assert {trial.target for trial in database.trials} == {folder.name}
        assert {trial.workload for trial in database.trials} <= set(database.workloads)
        for workload, metric in {(trial.workload, trial.metric) for trial in trials}:
            best = database.best(workload, folder.name, metric)
            assert best is not None
            assert relative_value(best) <= 1.0
