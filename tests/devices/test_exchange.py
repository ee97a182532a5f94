"""What runner and device say to each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecompile.core.device import RunRequest
from edgecompile.core.process import Finished
from edgecompile.devices.exchange import (
    OUTPUT,
    Times,
    check_finished,
    collect,
    parse_times,
    run_command,
    runner_arguments,
    signal_name,
)
from edgecompile.errors import DeviceError

REQUEST = RunRequest(Path("runner"), b"", samples=3, output_bytes=4, repeats=2, timeout_s=0.5)


def test_arguments_name_the_trace_only_when_it_is_wanted() -> None:
    assert runner_arguments(REQUEST) == ["in.bin", "out.bin", "3", "2"]
    traced = RunRequest(Path("runner"), b"", samples=1, output_bytes=4, trace=True)
    assert runner_arguments(traced) == ["in.bin", "out.bin", "1", "1", "trace.bin"]


def test_times_are_taken_from_lines_of_json_only() -> None:
    text = 'booting\n{"sample":0,"repeat":0,"ns":12}\n{broken\n{"step":0,"ns":3}\n{"other":1}\n'
    assert parse_times(text) == Times((12,), (3,))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (-11, "error[EC7002] the program crashed with SIGSEGV at 'board': last."),
        (-200, "error[EC7002] the program crashed with signal 200 at 'board': last."),
        (79, "error[EC7002] the program crashed with a processor fault at 'board': last."),
        (65, "error[EC7004] the program failed with exit status 65 at 'board': last."),
        (71, "error[EC7005] the network wrote outside of its memory at 'board': last. Fix: this is a bug"),
    ],
)
def test_every_bad_end_says_what_happened(status: int, message: str) -> None:
    with pytest.raises(DeviceError) as raised:
        check_finished(Finished(status, "", "first\nlast\n"), "board")
    assert str(raised.value).startswith(message)


def test_a_good_end_is_no_error() -> None:
    check_finished(Finished(0, "", "chatter"), "board")
    assert signal_name(4) == "SIGILL"


def test_missing_and_short_output_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7006.*output is missing at 'board': out.bin was not written"):
        collect(tmp_path, REQUEST, "", "board")
    (tmp_path / OUTPUT).write_bytes(b"1234")
    with pytest.raises(DeviceError, match=r"EC7006.*incomplete at 'board': 4 bytes instead of 12"):
        collect(tmp_path, REQUEST, "", "board")


def test_missing_trace_is_an_error(tmp_path: Path) -> None:
    (tmp_path / OUTPUT).write_bytes(b"1234")
    request = RunRequest(Path("runner"), b"", samples=1, output_bytes=4, trace=True)
    with pytest.raises(DeviceError, match=r"EC7006.*trace.bin was not written"):
        collect(tmp_path, request, "", "board")


def test_a_program_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"EC7004.*cannot be started at 'board'"):
        run_command(["/no/such/program"], REQUEST, tmp_path, "board")


def test_a_program_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DeviceError) as raised:
        run_command(["sleep", "30"], REQUEST, tmp_path, "board")
    message = "error[EC7003] the program was stopped at 'board': it ran longer than 0.5 s. Fix: give it more"
    assert str(raised.value).startswith(message)
