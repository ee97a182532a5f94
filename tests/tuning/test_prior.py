"""What earlier records teach."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompile.tuning.cost_model import FAILED
from edgecompile.tuning.database import Database
from edgecompile.tuning.prior import learn_prior, rows_of
from tests.support.records import TRIAL

NARROW = [replace(TRIAL, candidate={"n": n}, features=(float(n),), value=2e-5 / 2**n) for n in range(5)]


def database(*changes: dict[str, object]) -> Database:
    """Five trials of each of several workloads: each step of the only feature makes twice as fast."""
    found = Database()
    for number, change in enumerate(changes):
        for trial in NARROW:
            found.add(replace(trial, **{"workload": str(number)} | change))  # type: ignore[arg-type]
    return found


def test_it_learns_from_all_workloads_of_the_target() -> None:
    prior = learn_prior(database({}, {}, {}), "host", "seconds", 1)
    assert prior.is_trained
    predicted = prior.predict(np.array([[0.0], [4.0]], np.float32))
    assert predicted[1] > predicted[0] + 2


def test_other_targets_metrics_and_versions_do_not_count() -> None:
    others = database({"target": "cortex-a72"}, {"metric": "instructions"}, {"features": (1.0, 2.0)})
    assert not learn_prior(others, "host", "seconds", 1).is_trained
    assert not learn_prior(database({"baseline": None}, {"baseline": None}), "host", "seconds", 1).is_trained


def test_rows_are_gains_and_failures() -> None:
    failed = replace(TRIAL, value=None, failure="crash")
    rows = rows_of([TRIAL, failed])
    np.testing.assert_allclose(rows.gains, [np.log2(2e-5 / 1.5e-5), FAILED], rtol=1e-6)
    assert rows.features.shape == (2, 2)
