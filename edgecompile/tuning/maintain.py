"""Work on files of records: joining them, dropping damaged lines, choosing what to ship."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgecompile.core.store import write_atomically
from edgecompile.errors import InputError, Problem, reason
from edgecompile.tuning.database import Database, relative_value, succeeded
from edgecompile.tuning.journal import read_journal
from edgecompile.tuning.record import Damage, Record, Trial, encode

# Lines that cannot be read are kept beside the file, under its name and this.
DAMAGED_SUFFIX = ".damaged"


def write_records(records: Iterable[Record], destination: Path) -> int:
    """Write a file of `records`, whole or not at all; returns how many. Raises InputError (EC3505)."""
    lines = [encode(record) for record in records]
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(destination, b"".join(lines))
    except OSError as error:
        raise InputError(
            Problem("EC3505", "cannot write the records", str(destination), reason(error))
        ) from None
    return len(lines)


def merge(sources: Sequence[Path], destination: Path) -> tuple[int, list[Damage]]:
    """Write the union of `sources`, every record once. Returns how many, and what could not be read."""
    database = Database.open(*sources)
    return write_records(all_records(database), destination), database.damages


def repair(path: Path) -> tuple[int, list[Damage]]:
    """Leave out the lines of a file that cannot be read, and keep them in a file beside it.

    Returns how many records are left, and what was left out.
    """
    contents = read_journal(path)
    if contents.damages:
        lines = path.read_bytes().split(b"\n")
        beside = path.with_name(path.name + DAMAGED_SUFFIX)
        kept = b"".join(lines[damage.line - 1] + b"\n" for damage in contents.damages)
        with beside.open("ab") as stream:
            stream.write(kept)
        write_records(contents.records, path)
    return len(contents.records), list(contents.damages)


def select(database: Database, best: int, others: int, seed: int = 0) -> list[Record]:
    """For each workload, target and metric the `best` trials, the default, and `others` chosen by chance.

    Those chosen by chance teach a cost model what is slow: trials of a search alone are all alike. All trials
    of whole networks are kept; they are few.
    """
    chance = random.Random(seed)
    chosen: dict[str, Trial] = {}
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in succeeded(database.trials):
        if trial.network:
            chosen[trial.identity] = trial
            continue
        groups.setdefault((trial.workload, trial.target, trial.metric), []).append(trial)
    for trials in groups.values():
        ranked = sorted(trials, key=relative_value)
        rest = ranked[best:]
        defaults = [trial for trial in trials if trial.value == trial.baseline][:1]
        for trial in [*ranked[:best], *defaults, *chance.sample(rest, min(others, len(rest)))]:
            chosen[trial.identity] = trial
    wanted = {trial.workload for trial in chosen.values()}
    return [*(w for key, w in database.workloads.items() if key in wanted), *chosen.values()]


def all_records(database: Database) -> list[Record]:
    """Everything in `database`, workloads first."""
    return [*database.workloads.values(), *database.trials]
