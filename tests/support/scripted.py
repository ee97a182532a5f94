"""A device that measures candidates by a script: what depends on devices is tested in no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.target import find_target
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import DeviceError, Problem
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.measure import Bench, Meter

INFO = TensorInfo("x", (16,), "float32")
# How a program may end.
CRASH, HANG = "EC7002", "EC7003"


@dataclass
class Scripted:
    """Candidate k takes `times[k]` nanoseconds times `factor(round)` and returns its inputs.

    Those in `wrong` return something else, from the sets of inputs `wrong_sets`. Those in `ends` end the
    program with a problem of that code. A device that is not `talkative` does not tell how far the program
    was. `before` is called for each run.
    """

    times: Sequence[float]
    factor: Callable[[int, int], float] = lambda candidate, round_: 1.0
    wrong: frozenset[int] = frozenset()
    wrong_sets: tuple[int, ...] = (0, 1)
    ends: dict[int, str] = field(default_factory=dict)
    talkative: bool = True
    before: Callable[[int], None] = lambda run: None
    requests: list[RunRequest] = field(default_factory=list)
    name: str = "scripted"
    level: str = "structure-only"
    metric: Metric = "seconds"
    platform: Platform | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held."""

    def health(self) -> str:
        return "well"

    def run(self, request: RunRequest) -> RunResult:
        self.requests.append(request)
        self.before(len(self.requests))
        chosen = [k for k in range(len(self.times)) if request.inputs[k]]
        inputs = np.frombuffer(request.inputs[len(self.times) :], np.float32).reshape(2, -1)
        printed = ""
        for number, candidate in enumerate(chosen):
            if candidate in self.ends:
                told = printed if self.talkative else ""
                raise DeviceError(Problem(self.ends[candidate], "ended", self.name), printed=told)
            printed += f'{{"sample":{len(chosen) + number},"repeat":0,"ns":1}}\n'
        outputs = [
            inputs[s] * (-1 if k in self.wrong and s in self.wrong_sets else 1)
            for s in (1, 0)
            for k in chosen
        ]
        rounds = range(request.repeats + 1)
        times = [round(self.times[k] * self.factor(k, number)) for number in rounds for k in chosen]
        return RunResult(b"".join(array.tobytes() for array in outputs), nanoseconds=tuple(times))


def trials(count: int) -> Trials:
    """A program of `count` candidates whose places in the task are 0, 10, 20, ..."""
    return Trials(Path("trials"), tuple(range(0, 10 * count, 10)), (INFO,), (INFO,))


def meter(device: Any, **changes: Any) -> Meter:
    """A meter for `trials` on `device`."""
    return Meter(Bench(find_target("host"), device, device.metric, **changes), (INFO,), (INFO,))
