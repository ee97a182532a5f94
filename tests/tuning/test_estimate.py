"""What tuning is expected to take and to bring."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgecompile.tuning.cost_model import Measured, Prior
from edgecompile.tuning.database import Database
from edgecompile.tuning.estimate import ENOUGH, estimate_tasks, minutes
from edgecompile.tuning.record import Workload
from edgecompile.tuning.task import Task
from tests.support.records import TRIAL, WORKLOAD


def task(candidates: int, workload: Workload = WORKLOAD) -> Task:
    """A task with one feature, which counts the candidates."""
    features = np.arange(candidates, dtype=np.float32).reshape(-1, 1)
    return Task(workload, [{"rows": n} for n in range(candidates)], features, weight=3)


def test_without_records_only_the_work_is_known() -> None:
    small, large = estimate_tasks([task(5), task(500)], Database(), Prior(), "host", "seconds")
    assert (small.name, small.calls, small.trials, large.trials) == ("conv 3x3", 3, 5, ENOUGH)
    assert small.speed_up is None
    assert minutes([small, large]) == pytest.approx((5 + ENOUGH) / 200)


def test_records_say_what_was_gained_and_what_is_left() -> None:
    database = Database()
    database.add(replace(TRIAL, candidate={"rows": 1}, value=1e-5))
    (known,) = estimate_tasks([task(5)], database, Prior(), "host", "seconds")
    assert (known.known, known.trials, known.speed_up) == (1, 4, 2.0)


def test_the_model_expects_something_of_kernels_without_records() -> None:
    features = np.arange(40, dtype=np.float32).reshape(-1, 1)
    prior = Prior([Measured(features, features[:, 0] / 20)])
    (expected,) = estimate_tasks([task(40)], Database(), prior, "host", "seconds")
    assert expected.speed_up == pytest.approx(2**1.95, rel=0.1)
    slower = Prior([Measured(features, -1 - features[:, 0])])
    assert estimate_tasks([task(40)], Database(), slower, "host", "seconds")[0].speed_up == 1.0
