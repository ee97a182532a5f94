"""Which plan each kernel is built by: the best record for its workload, else the built-in choice."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecompile.core.target import Isa, Target
from edgecompile.devices.gpu import SimulatedGpu
from edgecompile.kernels.schedules.space import Plan, PlanChoice, Space, UsualPlan, knobs
from edgecompile.lower.fusion import Group
from edgecompile.lower.workload import describe_group, name_of
from edgecompile.tuning.database import Database, best_in_network, relative_value, succeeded
from edgecompile.tuning.record import METRICS, Damage, Json, Trial, Workload, not_read
from edgecompile.tuning.shipped import open_records
from edgecompile.tuning.versions import tool_versions

_STALE = "its fastest candidate is in the design space of another version only; tune it again"


@dataclass
class Selection:
    """Plans by records. `trials` are the best ones by workload; what was chosen is noted while lowering.

    `in_network` says how many times as fast whole networks became by the candidates that were compared there.
    `gains` are the logarithms to base 2 of what tuning brought to kernels, by their operators and windows.
    The kernels of the layers `without` are built by the built-in choice, whatever the records say.
    `damages` are lines of records that could not be read.
    """

    trials: Mapping[str, Trial]
    in_network: Mapping[str, float] = field(default_factory=dict)
    gains: Mapping[str, Sequence[float]] = field(default_factory=dict)
    recorded: dict[str, Trial] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    layers: dict[str, list[str]] = field(default_factory=dict)
    built_in: dict[str, str] = field(default_factory=dict)
    stale: dict[str, str] = field(default_factory=dict)
    without: Collection[str] = ()
    damages: Sequence[Damage] = ()

    def plans(self, group: Group, isa: Isa) -> PlanChoice:
        """Who chooses the plan for `group`."""
        set_aside = not set(self.without).isdisjoint(group.layers)
        return UsualPlan() if set_aside else _ByRecord(self, group, isa)

    def report(self) -> dict[str, Any]:
        """What was chosen, as data: kernels by record, by the built-in choice, and with records of no use.

        `expected_gain` is how many times as fast tuning is expected to make those by the built-in choice:
        the mean of what it brought to kernels like them. It is None where no record says anything.
        """
        return {
            "by_record": [self._entry(key, trial) for key, trial in self.recorded.items()],
            "built_in": list(self.built_in.values()),
            "stale": [{"kernel": name, "reason": _STALE} for name in self.stale.values()],
            "expected_gain": self._expected_gain(),
            "notes": [*_notes(self.recorded.values()), *map(not_read, self.damages)],
        }

    def _entry(self, key: str, trial: Trial) -> dict[str, Any]:
        return {
            "kernel": self.names[key],
            "layers": self.layers[key],
            "workload": key,
            "metric": trial.metric,
            "value": trial.value,
            "speed_up": speed_up(trial),
            "network_speed_up": self.in_network.get(key),
            "device": trial.device,
            "versions": dict(trial.versions),
        }

    def _expected_gain(self) -> float | None:
        names = [*self.built_in.values(), *self.stale.values()]
        known = [gain for gains in self.gains.values() for gain in gains]
        if not names or not known:
            return None
        expected = [statistics.mean(self.gains.get(_kind(name), known)) for name in names]
        return round(float(2.0 ** statistics.mean(expected)), 3)


def select(target: Target, records: Path | None = None, without: Collection[str] = ()) -> Selection:
    """The selection for `target`: from the records in `records`, and the shipped ones.

    The layers `without` are built by the built-in choice.
    Time counts more than instructions, and what was compared in a network more than what was measured by
    itself. Raises InputError (EC3501, EC3504).
    """
    database = open_records(target, *([records] if records else []), best_only=True)
    trials, in_network = best_trials(database, target.name), {}
    gains: dict[str, list[float]] = {}
    for key, trial in trials.items():
        if trial.value and trial.baseline and key in database.workloads and speed_up(trial) is not None:
            name = str(database.workloads[key].description["name"])
            gains.setdefault(_kind(name), []).append(math.log2(trial.baseline / trial.value))
        best = best_in_network(database.in_network(key, target.name))
        if best is not None:
            trials[key] = _by_itself(database, best)
            in_network[key] = round(1 / relative_value(best), 3)
    return Selection(trials, in_network, gains, without=without, damages=database.damages)


def best_trials(database: Database, target: str) -> dict[str, Trial]:
    """The trial of each workload on `target` that is best by itself."""
    found: dict[str, Trial] = {}
    for workload in dict.fromkeys(trial.workload for trial in database.trials):
        best = [database.best(workload, target, metric) for metric in METRICS]
        first = next((trial for trial in best if trial is not None), None)
        if first is not None:
            found[workload] = first
    return found


def _by_itself(database: Database, best: Trial) -> Trial:
    """The trial of a candidate by itself; where there is none, the one in a network."""
    trials = succeeded(database.of(best.workload, best.target, best.metric))
    return next((trial for trial in trials if trial.candidate == best.candidate), best)


def _kind(name: str) -> str:
    """Operators and window of a workload's name."""
    return name.partition(" -> ")[0]


def _notes(trials: Collection[Trial]) -> list[str]:
    """Records of other versions than this one, and all devices that records were measured on."""
    notes = []
    for tool, own in tool_versions().items():
        others = Counter(version for trial in trials if (version := trial.versions.get(tool, own)) != own)
        notes += [
            f"{count} tuning records were made by {tool} {other}; this is {own}"
            for other, count in sorted(others.items())
        ]
    devices = sorted({trial.device for trial in trials})
    return [
        *notes,
        *(["tuning records of several devices: " + "; ".join(devices)] if len(devices) > 1 else []),
    ]


def speed_up(trial: Trial) -> float | None:
    """How many times as fast as the built-in choice; None where nobody knows, or only a simulated GPU."""
    if not trial.baseline or not trial.value or trial.device.startswith(f"{SimulatedGpu.name}:"):
        return None
    return round(trial.baseline / trial.value, 3)


@dataclass
class _ByRecord:
    """Answers the questions about one kernel by its record, which says something about one of them."""

    selection: Selection
    group: Group
    isa: Isa
    found: bool = False

    def choose(self, space: Space) -> Plan:
        key, name = Workload(describe_group(self.group, self.isa)).key, name_of(self.group)
        trial = self.selection.trials.get(key)
        if trial is None and space.is_open:
            self.selection.built_in[key] = name
        if trial is None or self.found:
            return space.usual
        plan = _find(space.plans(), trial.candidate)
        if plan is None:
            self.selection.stale[key] = name
            return space.usual
        self.found = True
        self.selection.recorded[key], self.selection.names[key] = trial, name
        self.selection.layers.setdefault(key, []).extend(self.group.layers)
        self.selection.stale.pop(key, None)
        return plan


def _find(plans: Sequence[Plan], candidate: Json) -> Plan | None:
    """The plan with these knobs; None when the space has no such plan any more."""
    return next((plan for plan in plans if knobs(plan) == candidate), None)
