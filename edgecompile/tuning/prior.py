"""What earlier records teach about a task before anything of it was measured."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgecompile.tuning.cost_model import FAILED, Measured
from edgecompile.tuning.database import Database
from edgecompile.tuning.record import Metric, Trial


def prior_rows(database: Database, target: str, metric: Metric, without: str, width: int) -> list[Measured]:
    """The rows of all workloads but `without` that were measured on `target`, a part each.

    Records with another number of features than `width` are of another version, and say nothing to this one.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in database.trials:
        fits = trial.target == target and trial.metric == metric and trial.workload != without
        if fits and trial.baseline and len(trial.features) == width:
            groups.setdefault(trial.workload, []).append(trial)
    return [rows_of(trials) for trials in groups.values()]


def rows_of(trials: Iterable[Trial]) -> Measured:
    """Features and gains over the baseline of some trials, failures included."""
    known = [(trial.features, _gain(trial)) for trial in trials]
    features = np.array([row for row, _ in known], np.float32).reshape(len(known), -1)
    return Measured(features, np.array([gain for _, gain in known], np.float32))


def _gain(trial: Trial) -> float:
    if trial.value is None or not trial.baseline:
        return FAILED
    return float(np.log2(trial.baseline / trial.value))
