"""qemu as a device: Linux programs in user mode, Cortex-M firmware on an emulated board."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.process import find_program, run_program
from edgecompile.core.target import Emulator, Target
from edgecompile.devices.exchange import collect, run_command, runner_arguments
from edgecompile.devices.icount import plugin_arguments, read_counts
from edgecompile.errors import Problem, UsageError


@dataclass(frozen=True)
class QemuDevice:
    """The target's emulator. It counts instructions on request; its times say nothing about the target."""

    target: Target
    name: str = "qemu"
    level: str = "executed-in-emulator"
    metric: Metric = "instructions"
    platform: Platform | None = None

    def __enter__(self) -> Self:
        """Raises MissingToolError (EC5001) without the emulator, UsageError (EC2022) when there is none."""
        self._program()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def run(self, request: RunRequest) -> RunResult:
        program = self._program()
        plugin = plugin_arguments(program) if request.count_instructions else []
        arguments = runner_arguments(request)
        command = [program, *plugin, *_machine(self._emulator(), request.executable, arguments)]
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
            folder = Path(name)
            finished = run_command(command, request, folder, self.name)
            result = dataclasses.replace(
                collect(folder, request, finished.stdout, self.name), nanoseconds=(), step_nanoseconds=()
            )
            if not request.count_instructions:
                return result
            counts = read_counts(folder, request.samples * request.repeats, traced=request.trace)
        return dataclasses.replace(
            result,
            instructions=counts.inference,
            run_instructions=counts.runs,
            step_instructions=counts.steps,
        )

    def health(self) -> str:
        emulator = self._emulator()
        text = run_program([self._program(), "--version"]).stdout
        version = re.search(r"version (\S+)", text)
        number = version.group(1) if version else "of unknown version"
        return f"{emulator.program} {number}, {emulator.machine or emulator.cpu}"

    def _emulator(self) -> Emulator:
        if self.target.emulator is None:
            what = f"target {self.target.name} has no emulator"
            fix = f"use --device {self.target.device}"
            raise UsageError(Problem("EC2022", what, "--device qemu", "", fix))
        return self.target.emulator

    def _program(self) -> str:
        emulator = self._emulator()
        return find_program(emulator.program, emulator.install)


def _machine(emulator: Emulator, executable: Path, arguments: Sequence[str]) -> list[str]:
    """qemu's arguments for the emulated CPU or board, with the program and its own arguments."""
    if emulator.mode == "user":
        # A fixed seed makes the random bytes that a program is started with, and so its counts, repeatable.
        return ["-cpu", emulator.cpu, "-seed", "1", str(executable), *arguments]
    semihosting = ",".join(
        ["enable=on", "target=native", *(f"arg={word}" for word in ("runner", *arguments))]
    )
    quiet = ["-display", "none", "-monitor", "none", "-serial", "none", "-parallel", "none"]
    cpu = ["-cpu", emulator.cpu] if emulator.cpu else []
    board = ["-machine", emulator.machine, *cpu]
    return [*board, *quiet, "-semihosting-config", semihosting, "-kernel", str(executable)]
