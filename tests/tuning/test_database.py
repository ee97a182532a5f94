"""The union of files of records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecompile.errors import InputError
from edgecompile.tuning.database import Database, find_journals
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.record import Trial, encode
from tests.support.records import TRIAL, WORKLOAD, trials

FAILED = replace(TRIAL, candidate={"rows": 9}, value=None, failure="wrong", spread=0.0, repeats=1)


def test_the_union_has_every_record_once(tmp_path: Path) -> None:
    for name, own in {"a": trials(4), "b/c": trials(6)}.items():
        with Journal(tmp_path / f"{name}.jsonl") as journal:
            journal.append([WORKLOAD, *own])
    database = Database.open(tmp_path)
    assert list(database.workloads) == [WORKLOAD.key]
    assert len(database.trials) == len({trial.identity for trial in [*trials(4), *trials(6)]})
    assert not database.add(WORKLOAD)
    assert not database.add(trials(4)[0])


def test_the_best_is_the_fastest_that_did_not_fail(tmp_path: Path) -> None:
    database = Database()
    assert database.best(WORKLOAD.key, "host", "seconds") is None
    for trial in [FAILED, *trials(5)]:
        assert database.add(trial)
    best = database.best(WORKLOAD.key, "host", "seconds")
    assert best is not None
    assert best.candidate == {"rows": 4}
    assert len(database.of(WORKLOAD.key, "host", "seconds")) == 6


@pytest.mark.parametrize(
    "other", [replace(TRIAL, target="cortex-a72"), replace(TRIAL, metric="instructions")]
)
def test_targets_and_metrics_are_kept_apart(other: Trial) -> None:
    database = Database()
    database.add(replace(other, value=1e-9))
    database.add(TRIAL)
    assert database.best(WORKLOAD.key, "host", "seconds") == TRIAL


def test_damaged_lines_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"nonsense\n" + encode(TRIAL))
    database = Database.open(path)
    assert [str(damage) for damage in database.damages] == [f"{path}:1: it is no record"]
    assert list(database.trials) == [TRIAL]


def test_a_place_without_records_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"error\[EC3504\] there are no records .* it does not exist"):
        find_journals(tmp_path / "none")
    assert find_journals(tmp_path) == []
