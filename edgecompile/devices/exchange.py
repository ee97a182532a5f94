"""What a device and the runner say to each other: files, command line, exit status, lines of results."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecompile.core.device import RunRequest, RunResult
from edgecompile.core.process import Finished, ProgramTimeoutError, run_program
from edgecompile.errors import DeviceError, Problem, reason

INPUT, OUTPUT, TRACE = "in.bin", "out.bin", "trace.bin"

# Exit statuses by which the runner tells on a network (see enum status in runner.c).
_MISBEHAVIOUR = {
    70: "the network returned an error",
    71: "the network wrote outside of its memory",
    72: "the network changed its input",
    73: "the network gave another output when it was run again",
}
_PROCESSOR_FAULT = 79


def runner_arguments(request: RunRequest) -> list[str]:
    """The runner's command line; all names are relative to its working folder."""
    trace = [TRACE] if request.trace else []
    return [INPUT, OUTPUT, str(request.samples), str(request.repeats), *trace]


def run_command(command: Sequence[str], request: RunRequest, folder: Path, device: str) -> Finished:
    """Put the inputs into `folder` and run `command` there, on this machine.

    Raises DeviceError: EC7003 when it takes too long, and as `check_finished` unless it ends well.
    """
    (folder / INPUT).write_bytes(request.inputs)
    try:
        finished = run_program(command, cwd=folder, timeout_s=request.timeout_s)
    except ProgramTimeoutError as error:
        raise timed_out(request, device, error.printed) from None
    except OSError as error:
        problem = Problem("EC7004", "the program cannot be started", device, reason(error))
        raise DeviceError(problem) from error
    check_finished(finished, device)
    return finished


def check_finished(finished: Finished, device: str) -> None:
    """Raise DeviceError unless the program ended well: EC7002 crash, EC7004 failure, EC7005 misbehaviour."""
    status, why = finished.status, finished.last_words
    if status == 0:
        return
    if status < 0 or status == _PROCESSOR_FAULT:
        name = signal_name(-status) if status < 0 else "a processor fault"
        what = f"the program crashed with {name}"
        raise DeviceError(Problem("EC7002", what, device, why), printed=finished.stdout)
    if status in _MISBEHAVIOUR:
        fix = "this is a bug in the compiler or its toolchain; please report it with the network"
        problem = Problem("EC7005", _MISBEHAVIOUR[status], device, why, fix)
        raise DeviceError(problem, printed=finished.stdout)
    raise DeviceError(Problem("EC7004", f"the program failed with exit status {status}", device, why))


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def timed_out(request: RunRequest, device: str, printed: str = "") -> DeviceError:
    """The error (EC7003) for a program that was stopped, and had `printed` something until then."""
    why, fix = f"it ran longer than {request.timeout_s:g} s", "give it more time or fewer samples"
    return DeviceError(Problem("EC7003", "the program was stopped", device, why, fix), printed=printed)


@dataclass(frozen=True)
class Times:
    """Nanoseconds of each run, and of each kernel call of the traced run."""

    runs: tuple[int, ...]
    steps: tuple[int, ...]


def parse_times(stdout: str) -> Times:
    """The runner's lines of results; other lines (a board's greeting) are passed over."""
    found = [one for one in _results(stdout) if "ns" in one]
    runs, steps = (
        [int(one["ns"]) for one in found if ("step" in one) == of_steps] for of_steps in (False, True)
    )
    return Times(tuple(runs), tuple(steps))


def count_runs(stdout: str) -> int:
    """How many runs ended, by the runner's lines of results."""
    return sum("sample" in one for one in _results(stdout))


def _results(stdout: str) -> list[dict[str, Any]]:
    found = []
    for line in stdout.splitlines():
        try:
            found.append(json.loads(line) if line.startswith("{") else {})
        except ValueError:
            continue
    return found


def collect(folder: Path, request: RunRequest, stdout: str, device: str) -> RunResult:
    """The result from the files in `folder`; raises DeviceError (EC7006) when output is missing or short."""
    outputs = _read(folder / OUTPUT, device)
    expected = request.samples * request.output_bytes
    if len(outputs) != expected:
        why = f"{len(outputs)} bytes instead of {expected}"
        raise DeviceError(Problem("EC7006", "the output is incomplete", device, why))
    times = parse_times(stdout)
    trace = _read(folder / TRACE, device) if request.trace else b""
    return RunResult(outputs, nanoseconds=times.runs, step_nanoseconds=times.steps, trace=trace)


def _read(path: Path, device: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        why = f"{path.name} was not written"
        raise DeviceError(Problem("EC7006", "the output is missing", device, why)) from error
