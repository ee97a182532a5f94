"""All that was measured: the union of any number of files of records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgecompile.core.device import Metric
from edgecompile.errors import InputError, Problem
from edgecompile.tuning.journal import read_journal
from edgecompile.tuning.record import Damage, Trial, Workload, canonical

SUFFIX = ".jsonl"


@dataclass
class Database:
    """Workloads by their keys and trials, each once, in the order in which they were added.

    `damages` are the lines that could not be read.
    """

    workloads: dict[str, Workload] = field(default_factory=dict)
    damages: list[Damage] = field(default_factory=list)
    _trials: dict[str, Trial] = field(default_factory=dict)
    _of: dict[tuple[str, str, Metric], list[Trial]] = field(default_factory=dict)
    _in_network: dict[tuple[str, str], list[Trial]] = field(default_factory=dict)

    @staticmethod
    def open(*sources: Path) -> Database:
        """The records of files, and of all files in folders and below. Raises InputError (EC3501, EC3504)."""
        database = Database()
        for source in sources:
            for path in find_journals(source):
                contents = read_journal(path)
                if path == source and contents.damages and not contents.records:
                    raise _no_records(source, f"none of its {len(contents.damages)} lines is one")
                database.damages += contents.damages
                for record in contents.records:
                    database.add(record)
        return database

    def add(self, record: Workload | Trial) -> bool:
        """Whether `record` is new."""
        if isinstance(record, Workload):
            known = record.key in self.workloads
            self.workloads.setdefault(record.key, record)
            return not known
        if record.identity in self._trials:
            return False
        self._trials[record.identity] = record
        if record.network:
            self._in_network.setdefault((record.workload, record.target), []).append(record)
        else:
            self._of.setdefault((record.workload, record.target, record.metric), []).append(record)
        return True

    @property
    def trials(self) -> Sequence[Trial]:
        """All trials."""
        return list(self._trials.values())

    def of(self, workload: str, target: str, metric: Metric) -> Sequence[Trial]:
        """The trials of one workload by itself on one target, failures included."""
        return self._of.get((workload, target, metric), [])

    def in_network(self, workload: str, target: str) -> Sequence[Trial]:
        """The trials of whole networks that differ in the kernel of one workload."""
        return self._in_network.get((workload, target), [])

    def best(self, workload: str, target: str, metric: Metric) -> Trial | None:
        """The fastest trial; None when there is none without a failure.

        The fastest is what gains most over the built-in schedule beside which it was measured: values
        themselves do not compare across devices, or when one is slower at times.
        """
        trials = list(succeeded(self.of(workload, target, metric)))
        compared = [trial for trial in trials if trial.baseline]
        return min(compared or trials, key=relative_value, default=None)


def best_in_network(trials: Iterable[Trial]) -> Trial | None:
    """Of trials in networks the one that gains most over the built-in schedule; None without any figure.

    Of a candidate that was compared several times the last trial counts.
    """
    latest = {canonical(trial.candidate): trial for trial in succeeded(trials) if trial.baseline}
    return min(latest.values(), key=relative_value, default=None)


def succeeded(trials: Iterable[Trial]) -> Iterator[Trial]:
    """The trials that have a value."""
    return (trial for trial in trials if trial.value is not None)


def value_of(trial: Trial) -> float:
    """The value of a trial that succeeded."""
    assert trial.value is not None
    return trial.value


def relative_value(trial: Trial) -> float:
    """The value of a trial that succeeded, as a share of its baseline where it has one."""
    return value_of(trial) / (trial.baseline or 1.0)


def find_journals(source: Path) -> list[Path]:
    """The files of records in a folder and below, or the file itself. Raises InputError (EC3504)."""
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise _no_records(source, "it does not exist")
    return sorted(source.rglob(f"*{SUFFIX}"))


def _no_records(source: Path, why: str) -> InputError:
    fix = "give a folder of records, or a .jsonl file"
    return InputError(Problem("EC3504", "there are no records", str(source), why, fix))
