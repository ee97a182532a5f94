"""A device that fails on demand: for testing what depends on devices without breaking one."""

from __future__ import annotations

import dataclasses
import random
import re
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from edgecompile.core.device import Device, Metric, Platform, RunRequest, RunResult
from edgecompile.core.process import Finished
from edgecompile.devices.exchange import check_finished, timed_out
from edgecompile.errors import DeviceError, Problem, UsageError, did_you_mean

FAULTS = ("none", "lost", "timeout", "hang", "crash", "wrong", "slow", "slowing", "noisy")
_SLOWDOWN = 10
# Times are multiplied by up to so much more or less: a coefficient of variation of about 0.3.
_NOISE = 0.5


def open_fake(fault: str, real: Device) -> FakeDevice:
    """`real` with a fault in all runs; in the third one with "lost@3", in some with "lost@3-5" and "lost@3-".

    Raises UsageError (EC2025) for a fault that does not exist.
    """
    match = re.fullmatch(r"(\w+)(?:@([1-9]\d*)(-(\d*))?)?", fault or "none")
    kind, first, more, last = match.groups() if match else (fault, None, None, None)
    if kind not in FAULTS:
        what, fix = f"unknown fault '{kind}'", did_you_mean(str(kind), FAULTS)
        raise UsageError(Problem("EC2025", what, "--device fake:FAULT", "", fix))
    begin = int(first or 1)
    end = begin if first and not more else int(last) if last else None
    return FakeDevice(real, kind, begin, end)


@dataclass
class FakeDevice:
    """Does `fault` in the runs from number `first` to number `last`, to the end when that is None."""

    real: Device
    fault: str
    first: int = 1
    last: int | None = None
    runs: int = 0
    name: str = "fake"
    # What it says proves nothing.
    level: str = "structure-only"

    @property
    def metric(self) -> Metric:
        return self.real.metric

    @property
    def platform(self) -> Platform | None:
        return self.real.platform

    def __enter__(self) -> Self:
        self.real.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.real.__exit__(kind, error, trace)

    def run(self, request: RunRequest) -> RunResult:
        self.runs += 1
        is_due = self.first <= self.runs and (self.last is None or self.runs <= self.last)
        fault = self.fault if is_due else "none"
        self._fail(fault, request)
        result = self.real.run(request)
        if fault == "wrong":
            return dataclasses.replace(result, outputs=_spoil(result.outputs, request.output_bytes))
        return dataclasses.replace(result, nanoseconds=_disturb(fault, result.nanoseconds))

    def _fail(self, fault: str, request: RunRequest) -> None:
        if fault == "lost":
            raise DeviceError(Problem("EC7001", "the device cannot be reached", self.name, "as demanded"))
        if fault == "hang":
            time.sleep(request.timeout_s)
        if fault in ("timeout", "hang"):
            raise timed_out(request, self.name)
        if fault == "crash":
            check_finished(Finished(-11, "", "as demanded"), self.name)

    def health(self) -> str:
        return f"{self.real.health()}, with the fault '{self.fault}'"


def _spoil(outputs: bytes, size: int) -> bytes:
    """Every byte wrong, and differently in samples that follow each other."""
    return bytes(byte ^ (0x40 if at // size % 2 else 0x20) for at, byte in enumerate(outputs))


def _disturb(fault: str, times: tuple[int, ...]) -> tuple[int, ...]:
    """Times as measured by a device that is slow, gets slow half way through, or has a bad clock."""
    if fault == "slow":
        return tuple(_SLOWDOWN * duration for duration in times)
    if fault == "slowing":
        half = len(times) // 2
        return (*times[:half], *(_SLOWDOWN * duration for duration in times[half:]))
    if fault == "noisy":
        chance = random.Random(len(times))
        return tuple(round(duration * chance.uniform(1 - _NOISE, 1 + _NOISE)) for duration in times)
    return times
