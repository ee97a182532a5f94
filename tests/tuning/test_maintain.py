"""Joining, repairing and choosing from files of records."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.errors import InputError
from edgecompile.tuning.database import Database
from edgecompile.tuning.journal import Journal, read_journal
from edgecompile.tuning.maintain import DAMAGED_SUFFIX, merge, repair, select, write_records
from edgecompile.tuning.record import Record, Trial, Workload, encode
from tests.support.records import TRIAL, WORKLOAD, trials
from tests.tuning.test_database import FAILED


def _write(path: Path, *records: Workload | Trial) -> Path:
    with Journal(path) as journal:
        journal.append(records)
    return path


def test_merging_is_a_union_in_any_order(tmp_path: Path) -> None:
    a, b = _write(tmp_path / "a.jsonl", WORKLOAD, TRIAL), _write(tmp_path / "b.jsonl", TRIAL, *trials(3))
    assert merge([a, b], tmp_path / "ab") == (5, [])
    assert merge([b, a, a], tmp_path / "ba") == (5, [])
    assert sorted((tmp_path / "ab").read_bytes().split(b"\n")) == sorted(
        (tmp_path / "ba").read_bytes().split(b"\n")
    )


def test_repairing_keeps_what_it_takes_out(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(encode(TRIAL) + b"garbage\n" + encode(WORKLOAD) + b"half a li")
    count, damages = repair(path)
    assert (count, [damage.line for damage in damages]) == (2, [2, 4])
    assert read_journal(path).records == (TRIAL, WORKLOAD)
    assert path.with_name(path.name + DAMAGED_SUFFIX).read_bytes() == b"garbage\nhalf a li\n"
    assert repair(path) == (2, [])


def test_what_is_shipped_has_the_best_and_some_others() -> None:
    database = Database()
    records: list[Record] = [WORKLOAD, Workload({"op": "unused"}), FAILED, *trials(50)]
    for record in records:
        database.add(record)
    chosen = select(database, best=2, others=5)
    assert chosen[0] == WORKLOAD
    own = [record for record in chosen[1:] if isinstance(record, Trial)]
    assert [trial.candidate["rows"] for trial in own[:2]] == [49, 48]
    assert len({trial.identity for trial in own}) == 7
    assert chosen == select(database, best=2, others=5)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"error\[EC3505\] cannot write the records"):
        write_records([TRIAL], tmp_path / "file" / "x.jsonl")
