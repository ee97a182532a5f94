"""What candidates take on a device. A candidate that fails is a failure, never a number.

All candidates of a program run one after the other, again and again, the built-in one among them. A figure is
the median, over these rounds, of how a candidate compares with the built-in one of the same round: when the
device slows down, both do. What cannot be told to some percent is measured again, and then is a failure too.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecompile.core.device import Device, Metric, RunRequest, RunResult
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.devices.exchange import count_runs
from edgecompile.errors import DeviceError, Problem
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.operands import agrees, edge_inputs, random_inputs
from edgecompile.tuning.program import input_bytes, output_arrays, output_size
from edgecompile.tuning.record import Failure

Array = np.ndarray[Any, Any]

# Problem codes by which a device says that the program was at fault, and not the device.
_FAILURES: dict[str, Failure] = {"EC7002": "crash", "EC7005": "crash", "EC7003": "timeout"}
# A program may take so many times as long as its candidates would if they were like the built-in one, and
# this many seconds to start: a candidate that is slower than that is of no use.
_PATIENCE, _START_S = 20.0, 5.0
# A median has to be known so well (its standard error), and is measured so often for that.
_UNCERTAINTY, _ATTEMPTS = 0.03, 3
# Inputs that are measured with, and inputs that are only checked with.
_SETS = 2


@dataclass(frozen=True)
class Outcome:
    """What one execution takes, in the metric of the bench, and what the built-in candidate took beside it.

    `spread` is the coefficient of variation over `repeats` executions. Without a value `failure` says why.
    """

    value: float | None
    failure: Failure | None = None
    spread: float = 0.0
    repeats: int = 1
    baseline: float | None = None


@dataclass(frozen=True)
class Bench:
    """Where and how candidates are measured: `repeats` runs each.

    `timeout_s` is for the first run of the built-in candidate; then time-outs follow from what that took.
    `metric` says what the device counts.
    """

    target: Target
    device: Device
    metric: Metric
    repeats: int = 20
    timeout_s: float = 30.0


def failure_of(error: DeviceError) -> Failure | None:
    """How the program failed that was executed; None when it was the device."""
    return _FAILURES.get(error.problems[0].code)


class _ProgramFailedError(Exception):
    """The program ended badly. `place` is the candidate that ran at the end, None where nobody knows."""

    def __init__(self, failure: Failure, place: int | None) -> None:
        super().__init__(failure)
        self.failure, self.place = failure, place


@dataclass
class Meter:
    """Measures programs of one task on one device, which has to be entered.

    `expected` is what the built-in candidate computed the first time, from both sets of inputs, and `seconds`
    what an execution took lately, with everything around it.
    """

    bench: Bench
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    expected: list[Array] = field(default_factory=list)
    seconds: float = 0.0
    _data: bytes = b""

    def __post_init__(self) -> None:
        sets = (random_inputs(self.inputs, seed=0), edge_inputs(self.inputs, seed=1))
        self._data = b"".join(input_bytes(self.inputs, arrays) for arrays in sets)

    def measure(self, trials: Trials) -> dict[int, Outcome]:
        """The outcome of each candidate in the program, by its place in the task.

        Raises DeviceError when the device is lost, and when it cannot be trusted: EC7010 where the built-in
        candidate fails on it, EC7011 where that computes something else than before.
        """
        failures: dict[int, Failure] = {}
        if not self.expected:
            self._compare(trials, [0], failures)
        known: dict[int, list[float]] = {}
        asked = list(range(len(trials.chosen)))
        for _ in range(_ATTEMPTS):
            for place, figures in self._compare(trials, asked, failures).items():
                known.setdefault(place, []).extend(figures)
            noisy = [place for place in asked if place and place not in failures and _is_noisy(known[place])]
            if not noisy:
                break
            asked = [0, *noisy]
        else:
            failures |= dict.fromkeys(noisy, "noisy")
        return {
            index: _outcome(known, failures.get(place), place) for place, index in enumerate(trials.chosen)
        }

    def _compare(
        self, trials: Trials, asked: Sequence[int], failures: dict[int, Failure]
    ) -> dict[int, list[float]]:
        """What those `asked` took in each round: the built-in one in its metric, all others relative to it.

        Whoever fails is entered in `failures`, and the others go on without it.
        """
        left = list(asked)
        while len(left) > 1:
            try:
                return self._run(trials, left, failures)
            except _ProgramFailedError as failed:
                if not failed.place:
                    break
                failures[failed.place] = failed.failure
                left.remove(failed.place)
        try:
            found = self._run(trials, [0], failures)
        except _ProgramFailedError as failed:
            what, why = "the built-in kernel does not run on the device", f"it ended with: {failed.failure}"
            raise _distrust("EC7010", what, self.bench.device, why) from None
        for place in left[1:]:
            try:
                found |= self._run(trials, [0, place], failures)
            except _ProgramFailedError as failed:
                failures[place] = failed.failure
        return found

    def _run(
        self, trials: Trials, chosen: Sequence[int], failures: dict[int, Failure]
    ) -> dict[int, list[float]]:
        repeats = 1 if self.bench.metric == "instructions" else self.bench.repeats
        result = self._execute(trials, chosen, repeats)
        self._check(result, chosen, failures)
        table = _rounds(result, self.bench.metric, len(chosen))
        builtin = table[:, 0]
        relative = {place: (table[:, column] / builtin).tolist() for column, place in enumerate(chosen)}
        return relative | {0: builtin.tolist()}

    def _execute(self, trials: Trials, chosen: Sequence[int], repeats: int) -> RunResult:
        """Raises DeviceError for a device, and _ProgramFailedError for a program that failed."""
        executions = len(chosen) * (repeats + 1)
        limit = _START_S + _PATIENCE * self.seconds * executions if self.seconds else self.bench.timeout_s
        request = RunRequest(
            trials.executable,
            bytes(place in chosen for place in range(len(trials.chosen))) + self._data,
            samples=_SETS * len(chosen),
            output_bytes=output_size(self.outputs),
            repeats=repeats,
            count_instructions=self.bench.metric == "instructions",
            timeout_s=limit,
        )
        begin = time.monotonic()
        try:
            result = self.bench.device.run(request)
        except DeviceError as error:
            failure = failure_of(error)
            if failure is None:
                raise
            runs = count_runs(error.printed)
            raise _ProgramFailedError(failure, chosen[runs % len(chosen)] if runs else None) from None
        self.seconds = (time.monotonic() - begin) / executions
        return result

    def _check(self, result: RunResult, chosen: Sequence[int], failures: dict[int, Failure]) -> None:
        """Compare all outputs with those of the built-in candidate."""
        size, count = output_size(self.outputs), len(chosen)
        pieces = [result.outputs[at : at + size] for at in range(0, len(result.outputs), size)]
        arrays = [output_arrays(self.outputs, piece) for piece in pieces]
        # The second set of inputs comes first.
        results = [[*arrays[count + position], *arrays[position]] for position in range(count)]
        self.expected = self.expected or results[0]
        wrong = [
            place
            for place, got in zip(chosen, results, strict=True)
            if not all(map(agrees, got, self.expected))
        ]
        if 0 in wrong:
            # Nobody knows which time was right.
            self.expected = []
            what = "the built-in kernel computed something else than before"
            raise _distrust("EC7011", what, self.bench.device, "")
        failures |= dict.fromkeys(wrong, "wrong")


def _rounds(result: RunResult, metric: Metric, count: int) -> Array:
    """Figures [rounds, candidates] with the ordinary inputs."""
    figures = {
        "instructions": result.run_instructions,
        "cycles": result.cycles,
        "seconds": result.nanoseconds,
    }
    table = np.array(figures[metric], np.float64).reshape(-1, count)[1:]
    # The first round finds nothing in any cache or branch predictor. A clock may be too coarse to notice.
    table = np.maximum(table[1:] if len(table) > 1 else table, 1.0)
    return table / 1e9 if metric == "seconds" else table


def _spread(figures: Sequence[float]) -> float:
    """The coefficient of variation, from the quartiles: some interrupted runs do not count."""
    low, middle, high = np.percentile(figures, (25, 50, 75))
    return float((high - low) / 1.349 / middle)


def _is_noisy(figures: Sequence[float]) -> bool:
    """Whether the median of `figures` is too uncertain; its standard error is 1.25 times that of the mean."""
    return 1.25 * _spread(figures) / math.sqrt(len(figures)) > _UNCERTAINTY


def _outcome(known: Mapping[int, Sequence[float]], failure: Failure | None, place: int) -> Outcome:
    baseline = statistics.median(known[0])
    if failure is not None:
        return Outcome(None, failure, baseline=baseline)
    # Twelve digits: a count that is divided and multiplied by another one is a whole number again.
    value = float(f"{baseline * statistics.median(known[place]):.12g}") if place else baseline
    return Outcome(value, None, _spread(known[place]), len(known[place]), baseline)


def _distrust(code: str, what: str, device: Device, why: str) -> DeviceError:
    return DeviceError(Problem(code, what, device.name, why, "check its power supply, cooling and memory"))
