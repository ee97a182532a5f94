"""Whole sessions on devices that fail: they finish, or end with status 7 or 8, and all figures are saved.

The long form of the kills is `KILLS=500 pytest tests/tuning/test_faults.py -k kill`.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgecompile.cli.main import main
from edgecompile.tuning import builder, journal, pool
from edgecompile.tuning.database import Database
from edgecompile.tuning.tune import JOURNAL
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]

_KILLS = int(os.environ.get("KILLS", "1"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(small_cnn(), tmp_path_factory.mktemp("faults") / "cnn.onnx"))


@pytest.fixture(autouse=True)
def short_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Boards start quickly, and nothing follows the search."""
    monkeypatch.setattr(pool, "_PAUSE_S", 0.001)
    monkeypatch.setattr("edgecompile.tuning.tune.rerank", lambda *arguments: [])


def words(network: str, records: Path, *more: str) -> list[str]:
    return ["tune", network, "--target", "host", "--records", str(records), "--json", *more]


def tuned(network: str, records: Path, device: str, trials: int, capsys: Capture) -> dict[str, Any]:
    """The result of a session that finishes."""
    assert main(words(network, records, "--device", device, "--trials", str(trials))) == 0
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


@pytest.mark.parametrize("device", ["fake:lost@3-5", "fake:wrong@3", "fake:crash@3"])
def test_a_session_survives_what_passes(device: str, network: str, tmp_path: Path, capsys: Capture) -> None:
    """A board that starts again, and a wrong result and a crash that are the device's own."""
    result = tuned(network, tmp_path, device, 16, capsys)
    trials = Database.open(tmp_path).trials
    assert len(trials) == 16 == result["progress"]["measured"]
    # On a busy machine a figure may scatter.
    assert {trial.failure for trial in trials} <= {None, "noisy"}


def test_a_hang_costs_no_more_than_its_time_out(network: str, tmp_path: Path, capsys: Capture) -> None:
    begin = time.monotonic()
    tuned(network, tmp_path / "well", "fake:none", 8, capsys)
    usual = time.monotonic() - begin
    begin = time.monotonic()
    tuned(network, tmp_path / "hangs", "fake:hang@2", 8, capsys)
    # Time-outs are 5 s and twenty times what the built-in kernel takes.
    assert time.monotonic() - begin < usual + 6 + 5


@pytest.mark.parametrize("device", ["fake:slow@3", "fake:slowing@3"])
def test_a_device_that_is_slow_at_times_decides_nothing(
    device: str, network: str, tmp_path: Path, capsys: Capture
) -> None:
    result = tuned(network, tmp_path, device, 16, capsys)
    assert result["progress"]["latency"] <= result["progress"]["untuned"]
    gains = [
        trial.value / trial.baseline
        for trial in Database.open(tmp_path).trials
        if trial.value and trial.baseline
    ]
    assert min(gains) > 0.2


def test_a_bad_clock_makes_nothing_the_best(network: str, tmp_path: Path, capsys: Capture) -> None:
    result = tuned(network, tmp_path, "fake:noisy", 8, capsys)
    assert result["progress"]["latency"] == result["progress"]["untuned"]
    assert result["progress"]["failures"]["noisy"] >= 6


def test_an_unplugged_device_ends_the_session_with_all_saved(
    network: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(words(network, tmp_path, "--device", "fake:lost@4-")) == 7
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert problem["code"] == "EC7012"
    assert "goes on from the records" in problem["fix"]
    saved = Database.open(tmp_path)
    assert len(saved.trials) >= 8
    assert not saved.damages
    assert main(words(network, tmp_path, "--trials", "8")) == 0
    assert len(Database.open(tmp_path).trials) == len(saved.trials) + 8


def test_another_device_goes_on(network: str, tmp_path: Path, capsys: Capture) -> None:
    more = ["--device", "fake:lost@2-", "--device", "fake:none", "--trials", "24"]
    assert main(words(network, tmp_path, *more)) == 0
    devices = json.loads(capsys.readouterr().out)["progress"]["devices"]
    assert [bool(device["out"]) for device in devices] == [True, False]
    assert len(Database.open(tmp_path).trials) == 24


def test_a_full_disk_ends_the_session_with_all_saved(
    network: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, data: bytes) -> int:
        if (tmp_path / JOURNAL).stat().st_size:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(file, data)

    monkeypatch.setattr(journal, "os", types.SimpleNamespace(**vars(os) | {"write": full}))
    assert main(words(network, tmp_path)) == 8
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "EC8001"
    saved = Database.open(tmp_path)
    assert len(saved.trials) == 8
    assert not saved.damages


def test_no_room_for_programs_is_nobodys_failure(
    network: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_ROOM_BYTES", 1 << 62)
    monkeypatch.setattr(builder.Builder, "build", lambda *arguments: [])
    assert main(words(network, tmp_path)) == 8
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "EC8002"
    assert not Database.open(tmp_path).trials


@contextmanager
def running(network: str, records: Path) -> Iterator[subprocess.Popen[str]]:
    """A session without end, in a process of its own, after its first batch."""
    command = [sys.executable, "-m", "edgecompile", *words(network, records)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())
            yield process
        finally:
            process.kill()


def test_an_interrupt_saves_everything_and_says_how_to_go_on(network: str, tmp_path: Path) -> None:
    with running(network, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    problem = json.loads(out)["problems"][0]
    assert (problem["code"], problem["what"]) == ("EC0130", "interrupted")
    assert f"what was measured is in {tmp_path}" in problem["fix"]
    _holds_what_was_told(tmp_path, ["", *errors.splitlines()])


def test_a_kill_loses_nothing_that_was_told(network: str, tmp_path: Path, capsys: Capture) -> None:
    chance = random.Random(0)
    for _ in range(_KILLS):
        with running(network, tmp_path) as process:
            time.sleep(chance.random())
            process.send_signal(signal.SIGKILL)
            told = process.communicate(timeout=30)[1].splitlines()
        _holds_what_was_told(tmp_path, told)
    # Locks and files are free at once, and the next session goes on.
    before = len(Database.open(tmp_path).trials)
    assert sum(tuned(network, tmp_path, "local", 8, capsys)["progress"]["trials"]) == before + 8


def _holds_what_was_told(records: Path, lines: list[str]) -> None:
    """Whether the records hold all trials that the last event knew of."""
    database = Database.open(records)
    events = [json.loads(line) for line in lines if '"progress"' in line and line.endswith("}")]
    known = events[-1]["progress"]["trials"] if events else [8]
    assert len(database.trials) >= sum(known)
    assert all(damage.why.startswith("its end is missing") for damage in database.damages)
