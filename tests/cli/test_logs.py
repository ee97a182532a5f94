"""`edgecompile logs` on files of records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecompile.cli.main import main
from edgecompile.tuning.journal import Journal, read_journal
from tests.support.records import WORKLOAD, trials
from tests.tuning.test_database import FAILED

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two sessions, one of them with a damaged line."""
    for name in ("one", "two"):
        with Journal(tmp_path / "records" / f"{name}.jsonl") as journal:
            journal.append([WORKLOAD, FAILED, *trials(4)])
    with (tmp_path / "records" / "two.jsonl").open("ab") as stream:
        stream.write(b"nonsense\n")
    return tmp_path / "records"


def test_show_lists_the_best_and_what_is_damaged(folder: Path, capsys: Capture) -> None:
    assert main(["logs", "show", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert [WORKLOAD.key[:12], "host", "5", "1", "10.00", "us", "seconds", "conv", "3x3"] in [
        line.split() for line in shown.splitlines()
    ]
    assert "two.jsonl:7: it is no record" in shown


def test_show_as_json(folder: Path, capsys: Capture) -> None:
    assert main(["logs", "show", str(folder), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["workloads"]
    assert (row["trials"], row["failed"], row["candidate"]) == (5, 1, {"rows": 3})
    assert row["best"] == pytest.approx(1e-5)


def test_curves_show_the_best_so_far(folder: Path, capsys: Capture) -> None:
    assert main(["logs", "show", str(folder), "--curves"]) == 0
    (line,) = [line.split() for line in capsys.readouterr().out.splitlines() if WORKLOAD.key[:12] in line]
    # The first trial failed; the others take 4, 3, 2 and 1 in tens of microseconds, the default 2.
    assert line[2:] == ["5", "-", "-", "-", "-", "-", "-", "2.00", line[-3], "conv", "3x3"]
    assert len(line[-3]) == 5
    assert (line[-3][0], line[-3][-1]) == ("▁", "█")


def test_merge_repair_and_export(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    merged = tmp_path / "all.jsonl"
    assert main(["logs", "merge", str(folder), "-o", str(merged)]) == 0
    assert "6 records" in capsys.readouterr().out
    assert len(read_journal(merged).records) == 6
    assert main(["logs", "repair", str(folder / "two.jsonl")]) == 0
    assert read_journal(folder / "two.jsonl").damages == ()
    shipped = tmp_path / "ship.jsonl"
    assert main(["logs", "export", str(merged), "-o", str(shipped), "--best", "1", "--others", "1"]) == 0
    # The workload, the best one, the default and one by chance.
    assert len(read_journal(shipped).records) == 4


def test_a_wrong_place_is_exit_3(tmp_path: Path, capsys: Capture) -> None:
    assert main(["logs", "show", str(tmp_path / "none")]) == 3
    assert "error[EC3504] there are no records" in capsys.readouterr().err
