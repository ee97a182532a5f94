"""Which plan each kernel is built by: the best record for its workload, else the built-in choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecompile.core.data import data_folder
from edgecompile.core.target import Isa
from edgecompile.kernels.schedules.space import Plan, PlanChoice, Space, knobs
from edgecompile.lower.fusion import Group
from edgecompile.lower.workload import describe_group, name_of
from edgecompile.tuning.database import Database
from edgecompile.tuning.record import METRICS, Json, Trial, Workload

SHIPPED = "tuning_logs"


@dataclass
class Selection:
    """Plans by records. `trials` are the best ones by workload; what was chosen is noted while lowering."""

    trials: Mapping[str, Trial]
    recorded: dict[str, Trial] = field(default_factory=dict)
    built_in: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)

    def plans(self, group: Group, isa: Isa) -> PlanChoice:
        """Who chooses the plan for `group`."""
        return _ByRecord(self, group, isa)

    def report(self) -> dict[str, Any]:
        """What was chosen, as data: workloads by record with their speed-up, and the names of others."""
        return {
            "by_record": [
                {"workload": key, "metric": trial.metric, "value": trial.value, "speed_up": speed_up(trial)}
                for key, trial in self.recorded.items()
            ],
            "built_in": list(self.built_in.values()),
            "stale": list(self.stale.values()),
        }


def select(target: str, records: Path | None = None) -> Selection:
    """The selection for the target called `target`: from the records in `records`, and the shipped ones.

    Time counts more than instructions. Raises InputError (EC3501, EC3504).
    """
    shipped = data_folder(SHIPPED) / target
    sources = [*([records] if records else []), *([shipped] if shipped.is_dir() else [])]
    return Selection(best_trials(Database.open(*sources), target))


def best_trials(database: Database, target: str) -> dict[str, Trial]:
    """The best trial of each workload on `target`."""
    found: dict[str, Trial] = {}
    for workload in dict.fromkeys(trial.workload for trial in database.trials):
        best = [database.best(workload, target, metric) for metric in METRICS]
        first = next((trial for trial in best if trial is not None), None)
        if first is not None:
            found[workload] = first
    return found


def speed_up(trial: Trial) -> float | None:
    """How many times as fast as the built-in choice; None where that was not measured."""
    if not trial.baseline or not trial.value:
        return None
    return round(trial.baseline / trial.value, 3)


@dataclass(frozen=True)
class _ByRecord:
    selection: Selection
    group: Group
    isa: Isa

    def choose(self, space: Space) -> Plan:
        key = Workload(describe_group(self.group, self.isa)).key
        trial = self.selection.trials.get(key)
        name = name_of(self.group)
        if trial is None:
            self.selection.built_in[key] = name
            return space.usual
        plan = _find(space.plans(), trial.candidate)
        if plan is None:
            self.selection.stale[key] = name
            return space.usual
        self.selection.recorded[key] = trial
        return plan


def _find(plans: Sequence[Plan], candidate: Json) -> Plan | None:
    """The plan with these knobs; None when the space has no such plan any more."""
    return next((plan for plan in plans if knobs(plan) == candidate), None)
