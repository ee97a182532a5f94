"""Fair timing on a machine that is not quiet: contestants take turns, and only turns of one round compare.

A slow spell of the machine (another program, a lower clock) then hits all contestants of a round alike and
cancels in their ratio, which it would not in separate runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np

Call = Callable[[], object]
Clock = Callable[[], int]

SAMPLE_NS = 20_000_000
WARM_UP_NS = 50_000_000


@dataclass(frozen=True)
class Ratio:
    """Median over rounds of one contestant's time by another's, and the quartiles around it."""

    median: float
    quartiles: tuple[float, float]


def interleave(
    contestants: Mapping[str, Call],
    rounds: int,
    clock: Clock = time.perf_counter_ns,
    sample_ns: int = SAMPLE_NS,
    warm_up_ns: int = WARM_UP_NS,
) -> dict[str, list[float]]:
    """Microseconds of one call, one figure a round, for every contestant.

    In each round every contestant is called for about `sample_ns`; every second round goes backwards, so that
    nobody always follows the same one. `clock` counts nanoseconds.
    """
    counts = {
        name: calls_per_sample(call, clock, sample_ns, warm_up_ns) for name, call in contestants.items()
    }
    times: dict[str, list[float]] = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            elapsed = _time_calls(contestants[name], counts[name], clock)
            times[name].append(elapsed / counts[name] / 1000)
        order.reverse()
    return times


def calls_per_sample(call: Call, clock: Clock, sample_ns: int, warm_up_ns: int) -> int:
    """How many calls take about `sample_ns`, at least one; calling for `warm_up_ns` to find out."""
    started, done, count = clock(), 0, 1
    while True:
        last = _time_calls(call, count, clock)
        done += count
        if clock() - started >= warm_up_ns:
            # The last batch is the largest one and ran warm.
            return max(1, round(sample_ns * count / max(last, 1)))
        count *= 2


def _time_calls(call: Call, count: int, clock: Clock) -> int:
    started = clock()
    for _ in repeat(None, count):
        call()
    return clock() - started


def ratio(ours: Sequence[float], peer: Sequence[float]) -> Ratio:
    """Compare round by round: entry k of both was measured in round k."""
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    low, middle, high = (float(np.percentile(ratios, q)) for q in (25, 50, 75))
    return Ratio(middle, (low, high))


def geometric_mean(values: Sequence[float]) -> float:
    """The mean that treats twice as fast and half as fast alike; `values` is not empty."""
    return float(np.exp(np.mean(np.log(values))))
