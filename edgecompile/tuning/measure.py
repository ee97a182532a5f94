"""What candidates take on a device. A candidate that fails is a failure, never a number.

All candidates of a program run one after the other, again and again, so that a disturbance hits all alike.
A candidate that crashes or hangs takes the program with it; then every one is measured in a program of its
own.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.device import Device, RunRequest, RunResult
from edgecompile.core.target import Target
from edgecompile.errors import DeviceError
from edgecompile.tuning.program import (
    Candidate,
    Compiled,
    input_bytes,
    link_trials,
    output_arrays,
    output_size,
)
from edgecompile.tuning.record import Failure, Metric

Array = np.ndarray[Any, Any]

# Of the largest magnitude of the result: another order of sums gives less, a wrong kernel more.
_TOLERANCE = 1e-4
# Problem codes by which a device says that the program was at fault, and not the device.
_FAILURES: dict[str, Failure] = {"EC7002": "crash", "EC7005": "crash", "EC7003": "timeout", "EC7006": "crash"}


@dataclass(frozen=True)
class Outcome:
    """The median in seconds or instructions, with the coefficient of variation; or why there is none."""

    value: float | None
    failure: Failure | None = None
    spread: float = 0.0
    repeats: int = 1


@dataclass(frozen=True)
class Bench:
    """Where and how candidates are measured: `repeats` runs each, `timeout_s` for a whole program.

    `metric` "instructions" needs a device that counts them, "seconds" one with a clock.
    """

    target: Target
    device: Device
    metric: Metric
    repeats: int = 20
    timeout_s: float = 60.0


def measure(
    bench: Bench, compiled: Compiled, inputs: Sequence[Array], expected: Sequence[Array]
) -> list[Outcome]:
    """One outcome a candidate; `expected` are the right outputs for `inputs`.

    Raises DeviceError when the device is lost.
    """
    everything = list(range(len(compiled.candidates)))
    try:
        return _run(bench, compiled, everything, inputs, expected)
    except _ProgramFailedError as failed:
        if len(everything) == 1:
            return [Outcome(None, failed.failure)]
    return [outcome for index in everything for outcome in _alone(bench, compiled, index, inputs, expected)]


class _ProgramFailedError(Exception):
    """The program ended badly, and `failure` is what a single candidate in it did."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure)


def _alone(
    bench: Bench, compiled: Compiled, index: int, inputs: Sequence[Array], expected: Sequence[Array]
) -> list[Outcome]:
    try:
        return _run(bench, compiled, [index], inputs, expected)
    except _ProgramFailedError as failed:
        return [Outcome(None, failed.failure)]


def compute(bench: Bench, compiled: Compiled, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of the first candidate. Raises DeviceError, also when that is the candidate's fault."""
    result = _execute(bench, compiled, [0], 1, inputs)
    return output_arrays(compiled.candidates[0], result.outputs)


def random_inputs(candidate: Candidate, seed: int) -> list[Array]:
    """Normally distributed numbers, and integers of the whole range."""
    chance = np.random.default_rng(seed)
    arrays = []
    for info in candidate.inputs:
        dtype = np.dtype(info.dtype)
        if dtype.kind == "f":
            arrays.append(chance.standard_normal(info.shape).astype(dtype))
        else:
            limits = np.iinfo(np.int8 if dtype.itemsize > 2 else dtype) if dtype.kind in "iu" else None
            low, high = (0, 1) if limits is None else (limits.min, limits.max)
            arrays.append(chance.integers(low, high, info.shape, endpoint=True).astype(dtype))
    return arrays


def _run(
    bench: Bench,
    compiled: Compiled,
    chosen: Sequence[int],
    inputs: Sequence[Array],
    expected: Sequence[Array],
) -> list[Outcome]:
    repeats = 1 if bench.metric == "instructions" else bench.repeats
    try:
        result = _execute(bench, compiled, chosen, repeats, inputs)
    except DeviceError as error:
        failure = _FAILURES.get(error.problems[0].code)
        if failure is None:
            raise
        raise _ProgramFailedError(failure) from None
    return [
        _outcome(compiled.candidates[index], place, len(chosen), repeats, result, expected)
        for place, index in enumerate(chosen)
    ]


def _execute(
    bench: Bench, compiled: Compiled, chosen: Sequence[int], repeats: int, inputs: Sequence[Array]
) -> RunResult:
    first = compiled.candidates[chosen[0]]
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
        request = RunRequest(
            link_trials(compiled, chosen, bench.target, Path(name)),
            input_bytes(first, inputs),
            samples=len(chosen),
            output_bytes=output_size(first),
            repeats=repeats,
            count_instructions=bench.metric == "instructions",
            timeout_s=bench.timeout_s,
        )
        with bench.device as device:
            return device.run(request)


def _outcome(
    candidate: Candidate,
    place: int,
    count: int,
    repeats: int,
    result: RunResult,
    expected: Sequence[Array],
) -> Outcome:
    """What the run says of the candidate at `place`."""
    size = output_size(candidate)
    got = output_arrays(candidate, result.outputs[place * size : (place + 1) * size])
    if not all(map(agrees, got, expected)):
        return Outcome(None, "wrong")
    if result.run_instructions:
        return Outcome(float(result.run_instructions[place]))
    times = [nanoseconds * 1e-9 for nanoseconds in result.nanoseconds[place::count]]
    # The first run finds nothing in any cache or branch predictor.
    times = times[1:] or times
    median = statistics.median(times)
    return Outcome(median, None, statistics.pstdev(times) / median if median else 0.0, repeats)


def agrees(got: Array, expected: Array) -> bool:
    """Integers must be equal, real numbers nearly."""
    if expected.dtype.kind != "f":
        return bool(np.array_equal(got, expected))
    scale = float(np.abs(expected).max(initial=0.0, where=np.isfinite(expected))) or 1.0
    return bool(np.allclose(got, expected, rtol=0.0, atol=_TOLERANCE * scale, equal_nan=True))
