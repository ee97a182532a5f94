"""The adb device against a stand-in that checks the form of the commands and executes them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.devices.adb import open_adb
from edgecompile.devices.open import open_device
from edgecompile.errors import DeviceError, MissingToolError, UsageError
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import make_samples

SAMPLES = make_samples(3)
SERIAL = "emulator-5554"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The stand-in's state: tmp/ is the device's /data/local/tmp."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "state").write_text("device")
    programs = tmp_path / "bin"
    programs.mkdir()
    script = programs / "adb"
    stand_in = Path(__file__).with_name("stand_in_adb.py")
    script.write_text(f'#!/bin/sh\nexec {sys.executable} {stand_in} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("ADB_ROOT", str(tmp_path))
    return tmp_path


def commands(root: Path) -> list[list[str]]:
    return [json.loads(line) for line in (root / "log").read_text().splitlines()]


@pytest.mark.parametrize("serial", [SERIAL, ""])
def test_a_network_runs_on_the_device_and_leaves_nothing_there(root: Path, serial: str) -> None:
    request = request_for(fake_runner("host", trace=True), SAMPLES, repeats=2, trace=True)
    with open_device(f"adb://{serial}", find_target("host")) as device:
        result = device.run(request)
        assert device.health().startswith("Linux ")
    SAMPLES.check(result.outputs)
    SAMPLES.check_trace(result.trace)
    assert len(result.nanoseconds) == 5
    assert list((root / "tmp").iterdir()) == []


def test_the_protocol_of_commands(root: Path) -> None:
    with open_adb(SERIAL) as device:
        folder = device.folder
        device.run(request_for(fake_runner("host"), SAMPLES))
    sent = commands(root)
    assert all(command[:2] == ["-s", SERIAL] for command in sent)
    verbs = [command[2] for command in sent]
    assert verbs == ["shell", "shell", "push", "shell", "pull", "pull", "pull", "shell"]
    assert folder.startswith("/data/local/tmp/edgecompile.")
    assert sent[2][-1] == f"{folder}/"
    assert [Path(file).name for file in sent[2][3:-1]] == ["runner", "in.bin"]
    assert "./runner in.bin out.bin 3 1" in sent[3][3]
    assert [command[3] for command in sent[4:7]] == [
        f"{folder}/{name}" for name in ("stdout.txt", "stderr.txt", "out.bin")
    ]
    assert f"rm -rf {folder}" in sent[7][3]


def test_the_exit_status_survives_an_adb_that_loses_it(root: Path) -> None:
    with open_adb(SERIAL) as device:
        with pytest.raises(DeviceError, match=r"EC7002.*crashed with SIG"):
            device.run(request_for(fake_runner("host", bug="CRASH"), SAMPLES))
        with pytest.raises(DeviceError, match=r"EC7005.*returned an error.*runner: the network returned -7"):
            device.run(request_for(fake_runner("host", bug="ERROR"), SAMPLES))
        SAMPLES.check(device.run(request_for(fake_runner("host"), SAMPLES)).outputs)
    assert list((root / "tmp").iterdir()) == []


def test_a_network_that_hangs_is_stopped(root: Path) -> None:
    with open_adb(SERIAL) as device, pytest.raises(DeviceError, match=r"EC7003.*longer than 1 s"):
        device.run(request_for(fake_runner("host", bug="HANG"), SAMPLES, timeout_s=1))
    assert list((root / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("state", "why", "fix"),
    [
        ("offline", "no devices/emulators found", "check the cable"),
        ("unauthorized", "device unauthorized", "unlock the device"),
    ],
)
def test_a_device_that_is_not_there_is_lost(root: Path, state: str, why: str, fix: str) -> None:
    (root / "state").write_text(state)
    with pytest.raises(DeviceError) as raised, open_adb(SERIAL):
        pass
    assert str(raised.value).startswith(f"error[EC7001] the device cannot be reached at 'adb://{SERIAL}'")
    assert why in str(raised.value)
    assert fix in str(raised.value)


def test_a_device_that_vanishes_in_use_is_lost(root: Path) -> None:
    device = open_adb(SERIAL)
    device.__enter__()
    (root / "state").write_text("offline")
    with pytest.raises(DeviceError, match="EC7001") as raised:
        device.run(request_for(fake_runner("host"), SAMPLES))
    # Leaving does not hide the error with another one.
    device.__exit__(DeviceError, raised.value, None)


def test_another_serial_number_is_not_found(root: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7001.*device '0123' not found"), open_adb("0123"):
        pass


@pytest.mark.parametrize("serial", ["-s", "a b", "x;reboot", "$(reboot)"])
def test_what_is_not_a_serial_number_is_refused(serial: str) -> None:
    with pytest.raises(UsageError, match=r"EC2024.*not an adb serial number.*adb devices"):
        open_adb(serial)


def test_missing_adb_names_the_install_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError) as raised, open_adb(SERIAL):
        pass
    assert str(raised.value) == "error[EC5001] adb not found. Fix: apt install adb."
