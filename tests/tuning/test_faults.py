"""Whole sessions on devices that fail: they finish, or end with status 7 or 8, and all figures are saved."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecompile.cli.main import main
from edgecompile.core.target import find_target
from edgecompile.devices import fake
from edgecompile.tuning import builder, journal, pool
from edgecompile.tuning.database import Database
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.record import Trial
from edgecompile.tuning.tune import JOURNAL, TuneOptions, list_tasks
from tests.support.networks import save, small_cnn

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save(small_cnn(), tmp_path_factory.mktemp("faults") / "cnn.onnx"))


@pytest.fixture(autouse=True)
def short_sessions(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Boards start quickly, and nothing follows the search but where a test is about that."""
    monkeypatch.setattr(pool, "_PAUSE_S", 0.001)
    if "records_of_all" not in request.fixturenames:
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


def test_a_hang_costs_no_more_than_its_time_out(
    network: str, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time-outs are 5 s and twenty times what the built-in kernel took, which is little here."""
    hung: list[float] = []
    monkeypatch.setattr(fake, "time", types.SimpleNamespace(sleep=hung.append))
    begin = time.monotonic()
    tuned(network, tmp_path, "fake:hang@2", 8, capsys)
    (seconds,) = hung
    assert 5 < seconds < 5 + 20 * (time.monotonic() - begin)
    assert len(Database.open(tmp_path).trials) == 8


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
    # A first batch takes at most four runs, on a busy machine.
    assert main(words(network, tmp_path, "--device", "fake:lost@8-")) == 7
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


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ("fake:crash", "EC7010] the built-in kernel does not run on the device"),
        ("fake:timeout", "EC7010] the built-in kernel does not run on the device"),
        ("fake:wrong", "EC7011] the built-in kernel computed something else than before"),
    ],
)
def test_what_a_device_cannot_do_is_no_figure(
    device: str, reason: str, network: str, tmp_path: Path, capsys: Capture
) -> None:
    """One that never works is left out; nothing is written down of it."""
    assert main(words(network, tmp_path, "--device", device)) == 7
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert problem["code"] == "EC7012"
    assert reason in problem["why"]
    assert not Database.open(tmp_path).trials


@pytest.fixture
def records_of_all(network: str, tmp_path: Path) -> Path:
    """What a search would have found: another candidate is close to the built-in one in the first kernel."""
    options = TuneOptions(find_target("host"), tmp_path)
    with Journal(tmp_path / JOURNAL) as writer:
        for number, task in enumerate(one.task for one in list_tasks(network, options)):
            writer.append([task.workload])
            for candidate, value in zip(task.candidates[:2], (2e-3, 1.9e-3), strict=True):
                if number == 0 or candidate == task.candidates[0]:
                    key, features = task.workload.key, (0.0,) * task.features.shape[1]
                    trial = Trial(key, "host", "seconds", candidate, value, "me", {})
                    writer.append([replace(trial, baseline=2e-3, features=features)])
    return tmp_path


# There is nothing left to search for: what follows is the comparison in the network.
_NO_SEARCH = ("--until", "1%")


def test_a_device_that_is_lost_while_networks_are_compared(
    network: str, records_of_all: Path, capsys: Capture
) -> None:
    before = len(Database.open(records_of_all).trials)
    assert main(words(network, records_of_all, *_NO_SEARCH, "--device", "fake:lost")) == 7
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert problem["code"] == "EC7012"
    assert "goes on from the records" in problem["fix"]
    assert len(Database.open(records_of_all).trials) == before
    # Another one does what it had; one that starts again is asked again.
    devices = ["--device", "fake:lost", "--device", "fake:lost@1-2"]
    assert main(words(network, records_of_all, *_NO_SEARCH, *devices)) == 0
    used = json.loads(capsys.readouterr().out)["progress"]["devices"]
    assert [(device["failures"], bool(device["out"])) for device in used] == [(4, True), (2, False)]
    compared = [trial for trial in Database.open(records_of_all).trials if trial.network]
    assert len(compared) == 2


def test_a_variant_of_the_network_that_crashes_has_failed(
    network: str, records_of_all: Path, capsys: Capture
) -> None:
    """The first crash may be the device's own."""
    assert main(words(network, records_of_all, *_NO_SEARCH, "--device", "fake:crash")) == 0
    result = json.loads(capsys.readouterr().out)
    assert [one["speed_up"] for one in result["reranked"]] == [1.0]
    compared = [trial for trial in Database.open(records_of_all).trials if trial.network]
    assert [trial.failure for trial in compared] == ["crash", "crash"]


def test_damaged_lines_are_named_and_the_others_used(
    network: str, records_of_all: Path, capsys: Capture
) -> None:
    """By who tunes, and by who compiles."""
    path = records_of_all / JOURNAL
    data = path.read_bytes()
    second = data.index(b"\n") + 1
    path.write_bytes(data[: second + 9] + b"?" + data[second + 10 :] + b'{"body":')
    assert main(words(network, records_of_all, *_NO_SEARCH)) == 0
    told = capsys.readouterr().err
    assert f"a tuning record was not read: {path}:2: it is no record" in told
    last = data.count(b"\n") + 1
    assert f"a tuning record was not read: {path}:{last}: its end is missing" in told
    artifact = str(records_of_all / "net.edge")
    assert main(["compile", network, "-t", "host", "--records", str(records_of_all), "-o", artifact]) == 0
    shown = capsys.readouterr()
    assert f"{path}:2: it is no record" in shown.out + shown.err
    assert f"{path}:{last}" not in shown.out + shown.err


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


def test_an_interrupt_saves_everything_and_says_how_to_go_on(network: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgecompile", *words(network, tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 130, (lines, out, errors)
    problem = json.loads(out)["problems"][0]
    assert (problem["code"], problem["what"]) == ("EC0130", "interrupted")
    assert f"what was measured is in {tmp_path}" in problem["fix"]
    events = [json.loads(line) for line in [*lines, *errors.splitlines()] if line.startswith("{")]
    assert len(Database.open(tmp_path).trials) >= events[-1]["progress"]["measured"]
