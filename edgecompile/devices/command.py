"""Boards behind a command line of the user: it flashes a program, starts it, and connects to it."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.process import find_program
from edgecompile.core.tables import from_table, read_toml
from edgecompile.devices.exchange import collect, run_command, runner_arguments
from edgecompile.devices.serial import converse
from edgecompile.errors import InputError, Problem, UsageError

SCHEMA = 1


@dataclass(frozen=True)
class Command:
    """The table [device.command] of a device file.

    `run` are the words of the command; {executable} in them is the program (ELF), {arguments} its own command
    line, {folder} a private folder with its input file. `exchange` "serial": the board's serial line is the
    command's standard input and output. "files": the command leaves the program's files in the folder, the
    board's lines in its standard output or the file `capture` there, and ends with the program's exit status.

    `metric` is what board_count of the `sources` counts. `start_s` is for flashing and starting. The others
    are as in `core.device.Platform`; paths are relative to the device file.
    """

    run: tuple[str, ...]
    exchange: Literal["serial", "files"] = "serial"
    metric: Literal["seconds", "cycles"] = "cycles"
    name: str = ""
    install: str = ""
    capture: str = ""
    start_s: float = 30.0
    sources: tuple[str, ...] = ()
    linker_script: str = ""
    flags: tuple[str, ...] = ()
    own_startup: bool = False


def open_command(address: str) -> CommandDevice:
    """The board of the device file at `address`.

    Raises UsageError (EC2027) without one, InputError (EC3020) for one that cannot be used.
    """
    if not address:
        fix = "write --device command:board.toml"
        raise UsageError(Problem("EC2027", "no device file", "--device command:", "", fix))
    path = Path(address)
    table = read_toml(path, "device file")
    device = table.get("device")
    if table.get("schema") != SCHEMA or not isinstance(device, dict) or "command" not in device:
        fix = "begin it with 'schema = 1' and a table [device.command]"
        raise InputError(Problem("EC3020", "not a device file", str(path), "", fix))
    command = from_table(Command, device["command"], f"{path}: device.command")
    return CommandDevice(command, path.parent.absolute(), command.name or path.stem)


@dataclass(frozen=True)
class CommandDevice:
    """A board; `folder` is where its device file is, and where the command is looked for first."""

    command: Command
    folder: Path
    name: str
    level: str = "executed-on-device"

    @property
    def metric(self) -> Metric:
        return self.command.metric

    @property
    def platform(self) -> Platform | None:
        """What programs are linked with; None where the emulated board's will do."""
        command = self.command
        if not command.sources and command.exchange == "files":
            return None
        return Platform(
            tuple(self.folder / source for source in command.sources),
            command.exchange == "serial",
            self.folder / command.linker_script if command.linker_script else None,
            command.flags,
            command.own_startup,
        )

    def __enter__(self) -> Self:
        """Raises MissingToolError (EC5001) when there is no such program as the command begins with."""
        self._program()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def run(self, request: RunRequest) -> RunResult:
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
            folder = Path(name)
            words = self._words(request, folder)
            if self.command.exchange == "serial":
                said = converse(words, request, folder, self.name, self.command.start_s).stdout
            else:
                patient = dataclasses.replace(request, timeout_s=request.timeout_s + self.command.start_s)
                said = run_command(words, patient, folder, self.name).stdout
                if self.command.capture:
                    said = (folder / self.command.capture).read_text(encoding="utf-8", errors="replace")
            result = collect(folder, request, said, self.name)
        if self.command.metric == "seconds":
            return result
        return dataclasses.replace(result, cycles=result.nanoseconds, nanoseconds=(), step_nanoseconds=())

    def health(self) -> str:
        """What is known without a program: a board that only a command can reach cannot be asked."""
        return f"a board behind {Path(self._program()).name}"

    def _program(self) -> str:
        first = self.command.run[0]
        beside = self.folder / first
        return str(beside) if beside.is_file() else find_program(first, self.command.install)

    def _words(self, request: RunRequest, folder: Path) -> list[str]:
        known = {
            "{executable}": str(request.executable),
            "{arguments}": " ".join(("runner", *runner_arguments(request))),
            "{folder}": str(folder),
        }
        words = [self._program(), *self.command.run[1:]]
        for mark, text in known.items():
            words = [word.replace(mark, text) for word in words]
        return words
