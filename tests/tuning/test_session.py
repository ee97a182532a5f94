"""What a session makes of what devices say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edgecompile.core.target import find_target
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.database import Database
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.pool import Pool
from edgecompile.tuning.record import Workload
from edgecompile.tuning.selection import select
from edgecompile.tuning.session import Budget, Progress, Session
from edgecompile.tuning.task import Task
from tests.support.scripted import INFO, Scripted

TIMES = [1000.0, 800.0, 100.0, 1200.0]


class OneProgram:
    """Builds nothing; a program of all candidates that are asked for is said to be there."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def build(self, task: int, chosen: Sequence[int], folder: Path) -> list[Trials]:
        return [Trials(Path("trials"), tuple(sorted({0, *chosen})), (INFO,), (INFO,))]


def tuned(folder: Path, device: Any) -> tuple[Database, Progress, Mapping[int, float | None]]:
    """What was written down, told in the end, and searched from, of a kernel with these candidates."""
    candidates = [{"tile": place} for place in range(len(TIMES))]
    task = Task(Workload({"name": "conv", "op": "Conv"}), candidates, np.zeros((len(TIMES), 2), np.float32))
    tasks = [KernelTask(task, None, None, ())]  # type: ignore[arg-type]
    told: list[Progress] = []
    with (
        Pool(tasks, find_target("host"), [device], [OneProgram()]) as pool,
        Journal(folder / "session.jsonl") as journal,
    ):
        session = Session(tasks, pool, Database(), journal, {})
        session.run(Budget(), told.append)
    return Database.open(folder), told[-1], session.searches[0].values


def test_what_computes_something_else_never_becomes_the_best(tmp_path: Path) -> None:
    """The fastest candidate is wrong, if only for inputs at the ends of their range."""
    for name, sets in (("both", (0, 1)), ("edges", (1,))):
        device = Scripted(TIMES, wrong=frozenset({2}), wrong_sets=sets)
        database, progress, values = tuned(tmp_path / name, device)
        (key,) = database.workloads
        best = database.best(key, "host", "seconds")
        assert best is not None
        assert best.candidate == {"tile": 1}
        assert {trial.candidate["tile"]: trial.failure for trial in database.trials} == {
            0: None,
            1: None,
            2: "wrong",
            3: None,
        }
        assert values[2] is None
        assert (progress.failures, progress.best) == ({"wrong": 1}, [8e-7])
        assert select(find_target("host"), tmp_path / name).trials[key].candidate == {"tile": 1}


def test_trials_are_counted_by_device_as_they_are_written_down(tmp_path: Path) -> None:
    database, progress, _ = tuned(tmp_path, Scripted(TIMES))
    assert [(use.device, use.trials) for use in progress.devices] == [("scripted: well", 4)]
    assert len(database.trials) == progress.measured == 4
