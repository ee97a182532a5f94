"""This machine as a device."""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.target import Target
from edgecompile.devices.exchange import collect, run_command, runner_arguments
from edgecompile.errors import Problem, UsageError


@dataclass(frozen=True)
class LocalDevice:
    """Runs programs directly. It has a clock and does not count instructions."""

    target: Target
    name: str = "local"
    level: str = "executed-on-device"
    metric: Metric = "seconds"
    platform: Platform | None = None

    def __enter__(self) -> Self:
        """Raises UsageError (EC2021) when this CPU cannot execute the target's programs."""
        machine, wanted = _family(platform.machine()), _family(self.target.isa.triple.split("-")[0])
        if machine != wanted:
            what = f"this {machine} machine cannot execute programs for {self.target.name}"
            fix = "use --device qemu or a board"
            raise UsageError(Problem("EC2021", what, f"--device {self.name}", "", fix))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def run(self, request: RunRequest) -> RunResult:
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
            command = [str(request.executable), *runner_arguments(request)]
            finished = run_command(command, request, Path(folder), self.name)
            return collect(Path(folder), request, finished.stdout, self.name)

    def health(self) -> str:
        return f"{_cpu_model() or platform.machine()}, {platform.system()} {platform.release()}"


def _family(machine: str) -> str:
    """One name for each CPU family, from the kernel's name or the first part of a target triple."""
    if machine in ("x86_64", "amd64"):
        return "x86-64"
    if machine in ("aarch64", "arm64"):
        return "Arm 64 bit"
    return "Arm 32 bit" if machine.startswith("armv7") else machine


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
