"""Files of records: durable before they are acknowledged, readable whatever happened."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgecompile.errors import InputError, StoppedError
from edgecompile.tuning.journal import Journal, read_journal
from edgecompile.tuning.record import encode
from tests.support.records import TRIAL, WORKLOAD, trials

# The long form, 500 kills, is `KILLS=500 pytest tests/tuning/test_journal.py`.
_KILLS = int(os.environ.get("KILLS", "20"))
# Appends batches for ever and says after each one how many records it holds by then.
_WRITER = """
import sys
from pathlib import Path
from edgecompile.tuning.journal import Journal, read_journal
from tests.support.records import trials
path = Path(sys.argv[1])
with Journal(path) as journal:
    count = len(read_journal(path).records)
    while True:
        batch = trials(1 + count % 7)
        journal.append(batch)
        count += len(batch)
        print(count, flush=True)
"""


def test_what_is_appended_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "session.jsonl"
    with Journal(path) as journal:
        journal.append([WORKLOAD, TRIAL])
        journal.append(trials(3))
        assert read_journal(path).records == (WORKLOAD, TRIAL, *trials(3))
    assert read_journal(path).damages == ()


def test_two_writers_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    with Journal(path):
        with pytest.raises(InputError) as caught:
            Journal(path)
        assert "error[EC3502] another session writes these records" in str(caught.value)
        assert "Fix: wait for it, or choose other --records" in str(caught.value)
    Journal(path).close()


def test_a_damaged_line_loses_one_record_and_is_named(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    lines = [encode(trial) for trial in trials(5)]
    chance = random.Random(0)
    for _ in range(50):
        victim = chance.randrange(5)
        place = chance.randrange(len(lines[victim]) - 1)
        line = lines[victim]
        byte = chance.choice([b for b in range(256) if b not in (line[place], 10)])
        damaged = [*lines[:victim], line[:place] + bytes([byte]) + line[place + 1 :], *lines[victim + 1 :]]
        path.write_bytes(b"".join(damaged))
        contents = read_journal(path)
        assert len(contents.records) == 4
        assert [str(one).startswith(f"{path}:{victim + 1}: it") for one in contents.damages] == [True]


def test_a_line_without_its_end_is_skipped_and_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "session.jsonl"
    path.write_bytes(encode(TRIAL) + encode(WORKLOAD)[:-7])
    (damage,) = read_journal(path).damages
    assert str(damage) == f"{path}:2: its end is missing: writing it was interrupted"
    with Journal(path) as journal:
        journal.append([WORKLOAD])
    contents = read_journal(path)
    assert (contents.records, contents.damages) == ((TRIAL, WORKLOAD), ())


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "session.jsonl"
    write, room = os.write, [len(encode(TRIAL)) + 10]

    def full(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        done = write(file, data[: room[0]])
        room[0] -= done
        return done

    with Journal(path) as journal:
        monkeypatch.setattr(os, "write", full)
        journal.append([TRIAL])
        with pytest.raises(StoppedError) as caught:
            journal.append(trials(2))
        monkeypatch.undo()
        assert "error[EC8001] the disk is full" in str(caught.value)
        assert "continue with --resume; everything before is saved" in str(caught.value)
        assert caught.value.exit_code == 8
        assert path.read_bytes() == encode(TRIAL)
        journal.append([WORKLOAD])
    assert read_journal(path).records == (TRIAL, WORKLOAD)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"error\[EC3501\] cannot read the records"):
        read_journal(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"error\[EC3503\] cannot write the records"):
        Journal(tmp_path / "file" / "session.jsonl")


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path, chance = tmp_path / "session.jsonl", random.Random(0)
    for _ in range(_KILLS):
        acknowledged = _killed_writer(path, after=chance.randint(1, 12), delay=chance.random() * 2e-3)
        contents = read_journal(path)
        assert len(contents.records) >= acknowledged
        assert all(damage.why.startswith("its end is missing") for damage in contents.damages)


def _killed_writer(path: Path, after: int, delay: float) -> int:
    """The records that a writer had acknowledged when it was killed."""
    command = [sys.executable, "-c", _WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines: list[Any] = [writer.stdout.readline() for _ in range(after)]
        _busy(delay)
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout.readlines()
    return int([line for line in lines if line.endswith("\n")][-1])


def _busy(seconds: float) -> None:
    import time

    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
