"""A tuning session: batches of candidates are built, measured and written down until the budget is spent.

Every batch is in the records before anybody hears of it, so that a session can be stopped, or killed, at any
moment; started again with the same records it goes on where it was.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.tuning.cost_model import CostModel
from edgecompile.tuning.database import Database
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.measure import Bench, Outcome, compute, measure, random_inputs
from edgecompile.tuning.prior import prior_rows
from edgecompile.tuning.program import Candidate, compile_candidates
from edgecompile.tuning.record import Json, Trial
from edgecompile.tuning.scheduler import choose_task
from edgecompile.tuning.search import Search

Array = np.ndarray[Any, Any]

# Candidates that are compiled and measured together: few enough for the model to learn in between.
BATCH = 8
_DIGITS = 4


@dataclass(frozen=True)
class Budget:
    """When to stop: after so many `trials` or `seconds`, or when every task has stopped getting better."""

    trials: int | None = None
    seconds: float = math.inf


@dataclass(frozen=True)
class Progress:
    """What a session has reached: one entry a task in `default`, `best` and `trials`.

    `latency` is the sum of the best values of all kernels of the network, `untuned` that of the defaults.
    """

    task: int
    trials: Sequence[int]
    default: Sequence[float | None]
    best: Sequence[float | None]
    failures: Mapping[str, int]
    seconds: float
    untuned: float
    latency: float

    @property
    def done(self) -> int:
        """Trials of the whole session."""
        return sum(self.trials)


Notify = Callable[[Progress], None]


@dataclass
class Session:
    """Tunes `tasks` on `bench`, from what `database` knows; new records go to `journal`."""

    tasks: Sequence[KernelTask]
    bench: Bench
    database: Database
    journal: Journal
    device: str
    versions: Mapping[str, str]
    seed: int = 0
    searches: list[Search] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    _operands: dict[int, tuple[list[Array], list[Array]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chance = np.random.default_rng(self.seed)
        for task in self.tasks:
            own = task.task
            width = own.features.shape[1]
            prior = prior_rows(
                self.database, self.bench.target.name, self.bench.metric, own.workload.key, width
            )
            search = Search(own, CostModel(prior), chance)
            known = self._known(task)
            if known:
                search.record(known)
            self.searches.append(search)

    def run(self, budget: Budget, notify: Notify = lambda progress: None) -> None:
        """Measure until `budget` is spent. Raises DeviceError for a lost device, StoppedError (EC8001)."""
        begin, spent = time.monotonic(), 0
        while budget.trials is None or spent < budget.trials:
            seconds = time.monotonic() - begin
            place = choose_task(self.searches)
            if place is None or seconds > budget.seconds:
                return
            count = BATCH if budget.trials is None else min(BATCH, budget.trials - spent)
            spent += self._batch(place, count)
            notify(self.progress(place, time.monotonic() - begin))

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
        )

    def _batch(self, place: int, count: int) -> int:
        """Measure up to `count` candidates of one task; returns how many."""
        task, search = self.tasks[place], self.searches[place]
        chosen = search.propose(count)
        outcomes = self._measure(place, chosen)
        values = {index: outcome.value for index, outcome in zip(chosen, outcomes, strict=True)}
        baseline = (search.values | values).get(0)
        records = [
            self._trial(task, index, outcome, baseline)
            for index, outcome in zip(chosen, outcomes, strict=True)
        ]
        known = task.task.workload.key in self.database.workloads
        self.journal.append([*([] if known else [task.task.workload]), *records])
        self.database.add(task.task.workload)
        for record in records:
            self.database.add(record)
            if record.failure is not None:
                self.failures[record.failure] = self.failures.get(record.failure, 0) + 1
        search.record(values)
        return len(chosen)

    def _measure(self, place: int, chosen: Sequence[int]) -> list[Outcome]:
        task = self.tasks[place]
        built: list[Candidate | None] = [_built(task, index) for index in chosen]
        candidates = [candidate for candidate in built if candidate is not None]
        outcomes: list[Outcome] = []
        if candidates:
            with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
                compiled = compile_candidates(candidates, task.isa, Path(folder))
                outcomes = measure(self.bench, compiled, *self._operands_of(place))
        measured = iter(outcomes)
        return [Outcome(None, "build") if candidate is None else next(measured) for candidate in built]

    def _operands_of(self, place: int) -> tuple[list[Array], list[Array]]:
        """Random inputs of a task, and what its default candidate computes from them."""
        if place not in self._operands:
            task = self.tasks[place]
            candidate = task.build(0)
            inputs = random_inputs(candidate, self.seed)
            with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
                compiled = compile_candidates([candidate], task.isa, Path(folder))
                self._operands[place] = inputs, compute(self.bench, compiled, inputs)
        return self._operands[place]

    def _trial(self, task: KernelTask, index: int, outcome: Outcome, baseline: float | None) -> Trial:
        return Trial(
            task.task.workload.key,
            self.bench.target.name,
            self.bench.metric,
            task.task.candidates[index],
            outcome.value,
            self.device,
            self.versions,
            outcome.failure,
            round(outcome.spread, _DIGITS),
            outcome.repeats,
            baseline,
            tuple(round(float(value), _DIGITS) for value in task.task.features[index]),
        )

    def _known(self, task: KernelTask) -> dict[int, float | None]:
        """What the records say of a task's candidates, by their places; the last word counts."""
        key = task.task.workload.key
        trials = self.database.of(key, self.bench.target.name, self.bench.metric)
        places = {_key(candidate): index for index, candidate in enumerate(task.task.candidates)}
        known = [(places.get(_key(trial.candidate)), trial.value) for trial in trials]
        return {index: value for index, value in known if index is not None}


def _built(task: KernelTask, index: int) -> Candidate | None:
    """The scheduled candidate; None when TVM refuses it."""
    try:
        return task.build(index)
    except Exception:  # any failure in a schedule is that candidate's
        return None


def _key(candidate: Json) -> tuple[Any, ...]:
    return tuple(sorted(candidate.items()))


def _total(weights: Sequence[int], values: Sequence[float | None]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True) if value is not None)
