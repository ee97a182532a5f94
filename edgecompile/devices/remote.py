"""A board with a shell that is reached over a transport (ssh, adb): copy there, run, copy back, tidy up."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.process import Finished, find_program, run_program
from edgecompile.devices.exchange import (
    INPUT,
    OUTPUT,
    TRACE,
    check_finished,
    collect,
    runner_arguments,
    timed_out,
)
from edgecompile.errors import DeviceError, EdgeCompileError, Problem

# The program's exit status travels in a line of its own: not every adb passes it on, and ssh uses 255 itself.
_STATUS = "edgecompile-exit-status:"
_RUNNER, _STDOUT, _STDERR, _PID = "runner", "stdout.txt", "stderr.txt", "pid"
# Time for everything besides the network itself: connecting, small commands.
_CONTROL_TIMEOUT_S = 60.0
_COPY_TIMEOUT_S = 600.0


class Transport(Protocol):
    """How to reach a board. Commands are complete argument lists for programs of this machine.

    `name` is the device's name for people, `temporary` the folder on the board for private folders, `install`
    the line that installs `program`.
    """

    @property
    def name(self) -> str: ...

    @property
    def program(self) -> str: ...

    @property
    def install(self) -> str: ...

    @property
    def temporary(self) -> str: ...

    def open(self) -> None: ...

    def close(self) -> None: ...

    def shell(self, command: str) -> list[str]: ...

    def push(self, files: Sequence[Path], folder: str) -> list[str]: ...

    def pull(self, file: str, folder: Path) -> list[str]: ...

    def advice(self, message: str) -> str:
        """How to fix a connection that failed with `message`."""
        ...


@dataclass
class RemoteDevice:
    """A board behind a transport; entered, it holds a private folder there that leaving removes."""

    transport: Transport
    level: str = "executed-on-device"
    metric: Metric = "seconds"
    platform: Platform | None = None
    folder: str = ""

    @property
    def name(self) -> str:
        return self.transport.name

    def __enter__(self) -> Self:
        """Connect and make the folder. Raises DeviceError (EC7001), MissingToolError (EC5001)."""
        find_program(self.transport.program, self.transport.install)
        self.transport.open()
        try:
            made = self._shell(f"mktemp -d {self.transport.temporary}/edgecompile.XXXXXX")
            folder = made.stdout.strip()
            # It will be given to rm -rf: nothing but what was asked for is acceptable.
            if not re.fullmatch(re.escape(self.transport.temporary) + r"/edgecompile\.\w{6}", folder):
                raise self._lost(f"no temporary folder: {made.last_words}")
            self.folder = folder
        except BaseException:
            self.transport.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what still runs there and remove the folder; a board that is gone keeps it."""
        folder, self.folder = self.folder, ""
        try:
            self._shell(f"kill -9 $(cat {folder}/{_PID}) 2>/dev/null; rm -rf {folder}")
        except EdgeCompileError:
            if error is None:
                raise
        finally:
            self.transport.close()

    def run(self, request: RunRequest) -> RunResult:
        """Execute on the board. The device has to be entered."""
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
            local = Path(name)
            self._send(request, local)
            status = self._execute(request)
            for file in (_STDOUT, _STDERR, OUTPUT, *([TRACE] if request.trace else [])):
                if status == 0 or file in (_STDOUT, _STDERR):
                    self._copy(self.transport.pull(f"{self.folder}/{file}", local))
            stdout, stderr = (
                (local / file).read_text(encoding="utf-8", errors="replace") for file in (_STDOUT, _STDERR)
            )
            check_finished(Finished(status, stdout, stderr), self.name)
            return collect(local, request, stdout, self.name)

    def health(self) -> str:
        return self._shell("uname -srm").stdout.strip()

    def _send(self, request: RunRequest, local: Path) -> None:
        runner, inputs = local / _RUNNER, local / INPUT
        runner.symlink_to(request.executable.absolute())
        inputs.write_bytes(request.inputs)
        self._shell(f"cd {self.folder} && rm -f *")
        self._copy(self.transport.push([runner, inputs], self.folder))

    def _execute(self, request: RunRequest) -> int:
        """Run the program; returns its exit status, or minus the signal that ended it."""
        program = f"./{_RUNNER} {' '.join(runner_arguments(request))}"
        # In the background, so that its process id is known and a program that hangs can be stopped.
        start = f"{program} >{_STDOUT} 2>{_STDERR} </dev/null & echo $! >{_PID}; wait $!"
        try:
            finished = self._shell(f"cd {self.folder} && chmod 700 {_RUNNER} && {{ {start}; }}", request)
        except TimeoutError:
            raise timed_out(request, self.name, self._stop()) from None
        # A shell reports the end by a signal as 128 plus its number.
        return 128 - finished.status if finished.status > 128 else finished.status

    def _stop(self) -> str:
        """Kill what runs there; returns what it had printed."""
        return self._shell(f"cd {self.folder} && kill -9 $(cat {_PID}); cat {_STDOUT}").stdout

    def _shell(self, command: str, request: RunRequest | None = None) -> Finished:
        """Run `command` on the board; without its status line the connection was lost."""
        timeout_s = request.timeout_s if request else _CONTROL_TIMEOUT_S
        arguments = self.transport.shell(f"{{ {command}; }}; echo {_STATUS}$?")
        try:
            finished = run_program(arguments, timeout_s=timeout_s)
        except TimeoutError as error:
            if request is not None:
                raise
            raise self._lost(str(error)) from None
        status = re.search(rf"^{_STATUS}(\d+)\r?$", finished.stdout, re.MULTILINE)
        if status is None:
            raise self._lost(finished.last_words)
        return Finished(int(status.group(1)), finished.stdout[: status.start()], finished.stderr)

    def _copy(self, command: Sequence[str]) -> None:
        try:
            finished = run_program(command, timeout_s=_COPY_TIMEOUT_S)
        except TimeoutError as error:
            raise self._lost(str(error)) from None
        if finished.status != 0:
            raise self._lost(finished.last_words)

    def _lost(self, why: str) -> DeviceError:
        return DeviceError(
            Problem("EC7001", "the device cannot be reached", self.name, why, self.transport.advice(why))
        )
