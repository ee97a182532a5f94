"""The host's side of a board's serial line: programs that ask for their files in lines of text.

The other side, and what the lines mean, is toolchain/runner/platform_serial.c. The line is the standard input
and output of a command.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgecompile.core.device import RunRequest
from edgecompile.core.process import Finished, started
from edgecompile.devices.exchange import check_finished, runner_arguments, timed_out
from edgecompile.errors import DeviceError, Problem, reason

_READ_BYTES = 65536
# What a program says that is not for people; names have no folder.
_QUESTION = re.compile(
    r"@(?:(args)|read (\d{1,3})|exit (\d{1,3})|write (\w[\w.]*) ((?:[0-9a-f]{2})*) ([0-9a-f]{8}))"
)


def converse(
    command: Sequence[str], request: RunRequest, folder: Path, device: str, start_s: float
) -> Finished:
    """Run `command`, answer what the program asks, and write its files into `folder`.

    The command is ended when the program ends. Raises DeviceError: EC7001 when the command ends first, EC7003
    after `start_s` and the request's time-out, EC7015 for a line that arrived damaged; also as
    `check_finished`.
    """
    try:
        with started(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            deadline = time.monotonic() + start_s + request.timeout_s
            finished = _Conversation(child, request, folder, device, deadline).hold()
    except OSError as error:
        raise DeviceError(Problem("EC7004", "the command cannot be started", device, reason(error))) from None
    check_finished(finished, device)
    return finished


@dataclass
class _Conversation:
    """What was said: `printed` is everything that is no question."""

    child: subprocess.Popen[bytes]
    request: RunRequest
    folder: Path
    device: str
    deadline: float
    printed: list[str] = field(default_factory=list)
    place: int = 0
    _rest: bytes = b""

    def hold(self) -> Finished:
        while True:
            line = self._line()
            question = _QUESTION.fullmatch(line)
            if question is None:
                if line.startswith("@"):
                    raise self._damaged()
                self.printed.append(line)
                continue
            args, count, status, name, digits, total = question.groups()
            if args:
                self._say(" ".join(("runner", *runner_arguments(self.request))))
            elif count:
                self._send(int(count))
            elif name:
                self._store(name, bytes.fromhex(digits), total)
            else:
                return Finished(int(status), "\n".join(self.printed), "")

    def _line(self) -> str:
        """The next line, without its end. Raises DeviceError."""
        assert self.child.stdout is not None
        while b"\n" not in self._rest:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.child.stdout], [], [], left)[0]:
                raise timed_out(self.request, self.device, "\n".join(self.printed))
            data = os.read(self.child.stdout.fileno(), _READ_BYTES)
            if not data:
                what, why = "the command ended before the program did", "\n".join(self.printed[-1:])
                fix = "try the command by hand, and check the cable and its speed"
                raise DeviceError(Problem("EC7001", what, self.device, why, fix))
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("ascii", errors="replace").strip("\r")

    def _say(self, text: str) -> None:
        assert self.child.stdin is not None
        # Of a command that has ended the next line that is waited for tells.
        with contextlib.suppress(OSError):
            self.child.stdin.write(f"{text}\n".encode())
            self.child.stdin.flush()

    def _send(self, count: int) -> None:
        data = self.request.inputs[self.place : self.place + count]
        self.place += count
        self._say(f"{data.hex()}{_sum(data):08x}")

    def _store(self, name: str, data: bytes, total: str) -> None:
        if f"{_sum(data):08x}" != total:
            raise self._damaged()
        with (self.folder / name).open("ab") as file:
            file.write(data)

    def _damaged(self) -> DeviceError:
        what, fix = "the serial line is not reliable", "use a lower speed, a shorter cable or flow control"
        return DeviceError(Problem("EC7015", what, self.device, "a line arrived damaged", fix))


def _sum(data: bytes) -> int:
    """FNV-1a, 32 bits."""
    total = 2166136261
    for byte in data:
        total = (total ^ byte) * 16777619 & 0xFFFFFFFF
    return total
