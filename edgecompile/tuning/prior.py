"""What earlier records teach about tasks before anything of them was measured."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgecompile.core.device import Metric
from edgecompile.tuning.cost_model import FAILED, Measured, Prior
from edgecompile.tuning.database import Database
from edgecompile.tuning.record import Trial


def learn_prior(database: Database, target: str, metric: Metric, width: int) -> Prior:
    """What all workloads that were measured on `target` say.

    Records with another number of features than `width` are of another version, and say nothing to this one.
    """
    groups: dict[str, list[Trial]] = {}
    for trial in database.trials:
        fits = trial.target == target and trial.metric == metric
        if fits and trial.baseline and len(trial.features) == width:
            groups.setdefault(trial.workload, []).append(trial)
    return Prior([rows_of(trials) for trials in groups.values()])


def rows_of(trials: Iterable[Trial]) -> Measured:
    """Features and gains over the baseline of some trials, failures included."""
    known = [(trial.features, _gain(trial)) for trial in trials]
    features = np.array([row for row, _ in known], np.float32).reshape(len(known), -1)
    return Measured(features, np.array([gain for _, gain in known], np.float32))


def _gain(trial: Trial) -> float:
    if trial.value is None or not trial.baseline:
        return FAILED
    return float(np.log2(trial.baseline / trial.value))
