"""The records that travel with the package, and which of them count for a target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from edgecompile.core.data import data_folder
from edgecompile.core.target import Target, load_targets
from edgecompile.tuning.database import Database, find_journals
from edgecompile.tuning.record import Record

SHIPPED = "tuning_logs"
# Files of records from which nothing is built: candidates by chance, for cost models to learn from.
OTHERS = "others.jsonl"
# The target "host" is whatever machine this is; on one with these instructions and no more, the workloads are
# those of the target here.
_SAME_INSTRUCTIONS = {"host": ("x86-64-v3",)}


def open_records(target: Target, *own: Path, best_only: bool = False) -> Database:
    """The records in the folders `own` and all shipped ones that count for `target`.

    Those of its base do: a workload names the instructions that it is for. With `best_only` those are left
    out that are there for cost models. Raises InputError (EC3501, EC3504).
    """
    database = Database.open(*own)
    for name in (target.name, *_SAME_INSTRUCTIONS.get(target.name, ()), *_bases(target)):
        for folder in shipped_folders(name):
            for record in _read(folder, target.name, best_only):
                database.add(record)
    return database


def _bases(target: Target) -> Iterator[str]:
    """What `target` is made from, and what that is made from."""
    while target.base is not None:
        yield target.base
        target = load_targets()[target.base]


@cache
def _read(folder: Path, target: str, best_only: bool) -> Sequence[Record]:
    """The records of a folder, which are read once: they do not change. They count as those of `target`."""
    found = Database.open(*(path for path in find_journals(folder) if path.name != OTHERS or not best_only))
    trials = [trial if trial.target == target else replace(trial, target=target) for trial in found.trials]
    records: list[Record] = [*found.workloads.values(), *trials]
    return records


def shipped_folders(target: str) -> list[Path]:
    """The folder of the shipped records of `target`, if there are any."""
    folder = data_folder(SHIPPED) / target
    return [folder] if folder.is_dir() else []
