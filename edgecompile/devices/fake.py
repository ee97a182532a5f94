"""A device that fails on demand: for testing what depends on devices without breaking one."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edgecompile.core.device import Device, RunRequest, RunResult
from edgecompile.core.process import Finished
from edgecompile.devices.exchange import check_finished, timed_out
from edgecompile.errors import DeviceError, Problem, UsageError, did_you_mean

FAULTS = ("none", "lost", "timeout", "crash", "wrong", "slow")
_SLOWDOWN = 100


def open_fake(fault: str, real: Device) -> FakeDevice:
    """`real` with a fault: "lost", or "lost@3" for the third run only.

    Raises UsageError (EC2025) for a fault that does not exist.
    """
    match = re.fullmatch(r"(\w+)(?:@([1-9]\d*))?", fault or "none")
    kind, number = match.groups() if match else (fault, None)
    if kind not in FAULTS:
        what, fix = f"unknown fault '{kind}'", did_you_mean(str(kind), FAULTS)
        raise UsageError(Problem("EC2025", what, "--device fake:FAULT", "", fix))
    return FakeDevice(real, kind, int(number) if number else None)


@dataclass
class FakeDevice:
    """Does `fault` in run number `at` (from 1), or in every run when that is None."""

    real: Device
    fault: str
    at: int | None = None
    runs: int = 0
    name: str = "fake"
    # What it says proves nothing.
    level: str = "structure-only"

    def __enter__(self) -> Self:
        self.real.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.real.__exit__(kind, error, trace)

    def run(self, request: RunRequest) -> RunResult:
        self.runs += 1
        fault = self.fault if self.at in (None, self.runs) else "none"
        if fault == "lost":
            raise DeviceError(Problem("EC7001", "the device cannot be reached", self.name, "as demanded"))
        if fault == "timeout":
            raise timed_out(request, self.name)
        if fault == "crash":
            check_finished(Finished(-11, "", "as demanded"), self.name)
        result = self.real.run(request)
        if fault == "wrong":
            return dataclasses.replace(result, outputs=bytes(byte ^ 0x40 for byte in result.outputs))
        if fault == "slow":
            times = tuple(_SLOWDOWN * duration for duration in result.nanoseconds)
            return dataclasses.replace(result, nanoseconds=times)
        return result

    def health(self) -> str:
        return f"{self.real.health()}, with the fault '{self.fault}'"
