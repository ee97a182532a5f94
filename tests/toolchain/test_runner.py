"""The runner notices every way in which a network can break its promises, on Linux and on bare metal."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.devices.open import open_device
from edgecompile.errors import DeviceError
from tests.fakes.build import fake_runner, request_for
from tests.fakes.network import Bug, make_samples

SAMPLES = make_samples(2)
PLATFORMS = ("host", "cortex-m4")
HALTED = r"EC7002.*the program crashed with (a processor fault|SIG\w+)"


def failure_of(platform: str, bug: Bug, *, repeats: int = 1) -> str:
    executable = fake_runner(platform, bug=bug)
    request = request_for(executable, SAMPLES, repeats=repeats)
    with open_device(None, find_target(platform)) as device, pytest.raises(DeviceError) as raised:
        device.run(request)
    return str(raised.value)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize(
    ("bug", "message"),
    [
        ("ARENA_OVERRUN", "error[EC7005] the network wrote outside of its memory at '{device}': runner: "
         "memory beside the arena was written"),
        ("OUTPUT_OVERRUN", "error[EC7005] the network wrote outside of its memory at '{device}': runner: "
         "memory beside output 1 was written"),
        ("INPUT_CHANGED", "error[EC7005] the network changed its input at '{device}': runner: "
         "an input was changed in sample 0"),
        ("NOT_REPEATABLE", "error[EC7005] the network gave another output when it was run again at "
         "'{device}': runner: another output in repeat 1"),
        ("ERROR", "error[EC7005] the network returned an error at '{device}': runner: "
         "the network returned -7"),
    ],
)  # fmt: skip
def test_misbehaviour_is_named(platform: str, bug: Bug, message: str) -> None:
    device = find_target(platform).device
    assert failure_of(platform, bug, repeats=2).startswith(message.format(device=device))


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_network_that_relies_on_a_zeroed_arena_comes_out_wrong(platform: str) -> None:
    executable = fake_runner(platform, bug="ZEROED_ARENA")
    with open_device(None, find_target(platform)) as device:
        result = device.run(request_for(executable, SAMPLES))
    with pytest.raises(AssertionError):
        SAMPLES.check(result.outputs)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_crash_is_named(platform: str) -> None:
    assert "EC7002] the program crashed with" in failure_of(platform, "CRASH")


@pytest.mark.parametrize("platform", [*PLATFORMS, "cortex-m55"])
def test_a_stack_that_overflows_does_not_go_unnoticed(platform: str) -> None:
    assert "error[EC700" in failure_of(platform, "DEEP_STACK")


def run_by_hand(folder: Path, *arguments: str, trace: bool = False) -> subprocess.CompletedProcess[str]:
    """The host's runner with arguments of one's own, in a folder that holds in.bin."""
    (folder / "in.bin").write_bytes(SAMPLES.inputs)
    command = [str(fake_runner("host", trace=trace)), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_times_are_lines_of_json(tmp_path: Path) -> None:
    done = run_by_hand(tmp_path, "in.bin", "out.bin", "2", "3")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(r["sample"], r["repeat"]) for r in records] == [(s, r) for s in range(2) for r in range(3)]
    assert all(record["ns"] >= 0 for record in records)
    SAMPLES.check((tmp_path / "out.bin").read_bytes())


def test_traced_run_has_a_time_for_each_step(tmp_path: Path) -> None:
    done = run_by_hand(tmp_path, "in.bin", "out.bin", "2", "1", "trace.bin", trace=True)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record.get("step") for record in records] == [None, 0, 1, 2]
    SAMPLES.check_trace((tmp_path / "trace.bin").read_bytes())


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("in.bin", "out.bin", "2"), 64, "wrong number of arguments: 3"),
        (("in.bin", "out.bin", "2", "1", "trace.bin"), 64, "wrong number of arguments: 5"),
        (("in.bin", "out.bin", "two", "1"), 64, "SAMPLES and REPEATS are positive numbers"),
        (("in.bin", "out.bin", "2", "-1"), 64, "SAMPLES and REPEATS are positive numbers"),
        (("none.bin", "out.bin", "2", "1"), 65, "cannot open the input file"),
        (("in.bin", "out.bin", "3", "1"), 65, "the input file ends in sample 2"),
        (("in.bin", "missing/out.bin", "2", "1"), 66, "cannot create the output file"),
    ],
)
def test_wrong_use_is_named(tmp_path: Path, arguments: tuple[str, ...], status: int, message: str) -> None:
    done = run_by_hand(tmp_path, *arguments)
    assert done.returncode == status
    assert done.stderr.startswith(f"runner: {message}")
