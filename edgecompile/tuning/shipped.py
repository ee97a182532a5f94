"""The records that travel with the package, and which of them count for a target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgecompile.core.data import data_folder
from edgecompile.tuning.database import Database

SHIPPED = "tuning_logs"
# The target "host" is whatever machine this is; on one with these instructions and no more, the workloads are
# those of the target here.
_SAME_INSTRUCTIONS = {"host": ("x86-64-v3",)}


def open_records(target: str, *own: Path) -> Database:
    """The records in the folders `own` and all shipped ones that count for `target`.

    Raises InputError (EC3501, EC3504).
    """
    database = Database.open(*own, *shipped_folders(target))
    for other in _SAME_INSTRUCTIONS.get(target, ()):
        found = Database.open(*shipped_folders(other))
        for workload in found.workloads.values():
            database.add(workload)
        for trial in found.trials:
            database.add(replace(trial, target=target))
    return database


def shipped_folders(target: str) -> list[Path]:
    """The folder of the shipped records of `target`, if there are any."""
    folder = data_folder(SHIPPED) / target
    return [folder] if folder.is_dir() else []
