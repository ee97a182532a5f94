"""A tuning session: batches of candidates are built, measured and written down until the budget is spent.

Every batch is in the records before anybody hears of it, so that a session can be stopped, or killed, at any
moment; started again with the same records it goes on where it was. While a batch is measured the next one
is built, so a batch is chosen before the figures of the one before it are known.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgecompile.tuning.cost_model import CostModel
from edgecompile.tuning.database import Database
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.lane import Use
from edgecompile.tuning.measure import Outcome
from edgecompile.tuning.pool import Measured, Pool
from edgecompile.tuning.prior import learn_prior
from edgecompile.tuning.record import Json, Trial
from edgecompile.tuning.scheduler import choose_task, reached_share
from edgecompile.tuning.search import Search

# Candidates that are compiled and measured together: few enough for the model to learn in between.
BATCH = 8
_DIGITS = 4


@dataclass(frozen=True)
class Budget:
    """When to stop: after so many `trials` or `seconds`, or when every task has stopped getting better.

    Or when the network is expected to have reached the share `until` of the speed that tuning can reach.
    """

    trials: int | None = None
    seconds: float = math.inf
    until: float | None = None


@dataclass(frozen=True)
class Progress:
    """What a session has reached: one entry a task in `default`, `best` and `trials`.

    `latency` is the sum of the best values of all kernels of the network, `untuned` that of the defaults.
    `measured` are the trials of this session, `share` how much of the speed within reach it has come to.
    """

    task: int
    trials: Sequence[int]
    default: Sequence[float | None]
    best: Sequence[float | None]
    failures: Mapping[str, int]
    seconds: float
    untuned: float
    latency: float
    measured: int
    share: float
    devices: Sequence[Use]

    @property
    def done(self) -> int:
        """Trials of the whole session."""
        return sum(self.trials)


Notify = Callable[[Progress], None]


@dataclass
class Session:
    """Tunes `tasks` on the devices of `pool`, from what `database` knows; new records go to `journal`.

    With a `goal`, every task gets so many trials, however little they bring.
    """

    tasks: Sequence[KernelTask]
    pool: Pool
    database: Database
    journal: Journal
    versions: Mapping[str, str]
    seed: int = 0
    goal: int | None = None
    searches: list[Search] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    measured: int = 0
    _by_device: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        chance = np.random.default_rng(self.seed)
        target, metric = self.pool.target.name, self.pool.metric
        width = self.tasks[0].task.features.shape[1]
        prior = learn_prior(self.database, target, metric, width)
        for task in self.tasks:
            search = Search(task.task, CostModel(prior), chance, self.goal)
            known = self._known(task)
            if known:
                search.record(known)
            self.searches.append(search)

    def run(self, budget: Budget, notify: Notify = lambda progress: None) -> None:
        """Measure until `budget` is spent. Raises DeviceError for a lost device, StoppedError (EC8001)."""
        begin, spent = time.monotonic(), 0
        while True:
            while not self.pool.is_full and not self._is_over(budget, time.monotonic() - begin):
                asked = self._submit(BATCH if budget.trials is None else min(BATCH, budget.trials - spent))
                if not asked:
                    break
                spent += asked
            if self.pool.is_idle:
                return
            measured = self.pool.result()
            self._record(measured)
            notify(self.progress(measured.task, time.monotonic() - begin))

    def progress(self, place: int, seconds: float) -> Progress:
        """Where the session stands; `place` is the task that was worked on."""
        best = [None if s.best is None else s.values[s.best] for s in self.searches]
        weights = [search.task.weight for search in self.searches]
        default = [search.default for search in self.searches]
        return Progress(
            place,
            [len(search.values) for search in self.searches],
            default,
            best,
            dict(self.failures),
            seconds,
            _total(weights, default),
            _total(weights, best),
            self.measured,
            reached_share(self.searches),
            [replace(use, trials=self._by_device[use.device]) for use in self.pool.uses],
        )

    def _is_over(self, budget: Budget, seconds: float) -> bool:
        return seconds > budget.seconds or (
            budget.until is not None and reached_share(self.searches) >= budget.until
        )

    def _submit(self, count: int) -> int:
        """Have up to `count` candidates of the most promising task measured; returns how many."""
        place = choose_task(self.searches) if count else None
        if place is None:
            return 0
        chosen = self.searches[place].propose(count)
        self.pool.submit(place, chosen)
        return len(chosen)

    def _record(self, measured: Measured) -> None:
        """Write a batch down, then learn from it."""
        task, search = self.tasks[measured.task], self.searches[measured.task]
        records = [
            self._trial(task, index, outcome, measured.device or self.pool.described)
            for index, outcome in measured.outcomes.items()
        ]
        known = task.task.workload.key in self.database.workloads
        self.journal.append([*([] if known else [task.task.workload]), *records])
        self.database.add(task.task.workload)
        self.measured += len(records)
        self._by_device[measured.device] += len(records)
        for record in records:
            self.database.add(record)
            if record.failure is not None:
                self.failures[record.failure] = self.failures.get(record.failure, 0) + 1
        search.record(_comparable(dict(zip(measured.outcomes, records, strict=True)), search.default))

    def _trial(self, task: KernelTask, index: int, outcome: Outcome, device: str) -> Trial:
        return Trial(
            task.task.workload.key,
            self.pool.target.name,
            self.pool.metric,
            task.task.candidates[index],
            outcome.value,
            device,
            self.versions,
            outcome.failure,
            round(outcome.spread, _DIGITS),
            outcome.repeats,
            outcome.baseline,
            tuple(round(float(value), _DIGITS) for value in task.task.features[index]),
        )

    def _known(self, task: KernelTask) -> dict[int, float | None]:
        """What the records say of a task's candidates, by their places; the last word counts."""
        key = task.task.workload.key
        trials = self.database.of(key, self.pool.target.name, self.pool.metric)
        places = {_key(candidate): index for index, candidate in enumerate(task.task.candidates)}
        known = [(places.get(_key(trial.candidate)), trial) for trial in trials]
        return _comparable({index: trial for index, trial in known if index is not None}, None)


def _comparable(trials: Mapping[int, Trial], default: float | None) -> dict[int, float | None]:
    """Values by place as if all had been measured at the time when the default candidate took `default`.

    Without that, when the one among `trials` was measured.
    """
    first = trials.get(0)
    reference = default or (first.value if first else None)
    return {
        index: trial.value * reference / trial.baseline
        if trial.value and trial.baseline and reference
        else trial.value
        for index, trial in trials.items()
    }


def _key(candidate: Json) -> tuple[Any, ...]:
    return tuple(sorted(candidate.items()))


def _total(weights: Sequence[int], values: Sequence[float | None]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True) if value is not None)
