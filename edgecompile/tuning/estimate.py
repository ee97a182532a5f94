"""What tuning a network is going to take and to bring, before anything is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecompile.core.device import Metric
from edgecompile.tuning.cost_model import Prior
from edgecompile.tuning.database import Database
from edgecompile.tuning.task import Task

# Trials after which a kernel is hardly getting faster any more; docs/tuning-results.md shows curves.
ENOUGH = 64
# Candidates that are built and measured in a minute on two cores, roughly.
_RATE = 200


@dataclass(frozen=True)
class Estimate:
    """One kernel: how often it is called, its candidates, and how many of them the records know.

    `speed_up` is what the records say or the cost model expects of the best candidate, over the default; None
    where neither knows anything.
    """

    name: str
    calls: int
    candidates: int
    known: int
    speed_up: float | None

    @property
    def trials(self) -> int:
        """How many more trials it is expected to get."""
        return max(0, min(ENOUGH, self.candidates) - self.known)


def estimate_tasks(
    tasks: Sequence[Task], database: Database, prior: Prior, target: str, metric: Metric
) -> list[Estimate]:
    """One entry a task. `prior` is what the records of `target` teach."""
    return [_estimate(task, database, prior, target, metric) for task in tasks]


def minutes(estimates: Sequence[Estimate]) -> float:
    """About how long it takes on two cores."""
    return sum(estimate.trials for estimate in estimates) / _RATE


def _estimate(task: Task, database: Database, prior: Prior, target: str, metric: Metric) -> Estimate:
    trials = database.of(task.workload.key, target, metric)
    speed_ups = [trial.baseline / trial.value for trial in trials if trial.baseline and trial.value]
    if prior.is_trained:
        speed_ups.append(float(2.0 ** prior.predict(task.features).max()))
    name, known = str(task.workload.description["name"]), len({str(trial.candidate) for trial in trials})
    best = max(1.0, *speed_ups) if speed_ups else None
    return Estimate(name, task.weight, len(task.candidates), known, best)
