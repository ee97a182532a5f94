"""What bench reports of a device's measurements."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.bench import WARM_UP_RUNS, bench_artifact
from tests.support.artifacts import InProcessDevice, build_artifact, install_device


def test_times_on_a_device_leave_out_the_warm_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = InProcessDevice()
    install_device(monkeypatch, device)
    report = bench_artifact(build_artifact(tmp_path / "net.edge"), runs=101)
    assert device.requests[0].repeats == 101 + WARM_UP_RUNS
    # The device reports 1, 2, 3, ... µs; the warm-up is the first three of them.
    assert report.p50_us == WARM_UP_RUNS + 51
    assert report.p99_us == WARM_UP_RUNS + 100
    assert report.instructions is None
    assert report.steps == ()


def test_an_emulator_counts_instructions_and_has_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = InProcessDevice(level="executed-in-emulator")
    install_device(monkeypatch, device)
    report = bench_artifact(build_artifact(tmp_path / "net.edge"), per_layer=True)
    assert device.requests[0].repeats == 1
    assert (report.p50_us, report.p99_us, report.instructions) == (None, None, 4321)
    assert [(step.layers, step.microseconds, step.instructions) for step in report.steps] == [
        (("/fc",), None, 4000),
        (("/relu",), None, 321),
    ]


def test_per_layer_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_device(monkeypatch, InProcessDevice())
    report = bench_artifact(build_artifact(tmp_path / "net.edge"), per_layer=True)
    assert [(step.symbol, step.microseconds) for step in report.steps] == [("net_fc", 0.7), ("net_relu", 0.3)]
