"""How few trials a search needs: replayed over layers of which every candidate was measured.

    python -m benchmarks.sweep --target cortex-a76 --records SWEEP
    python -m benchmarks.tuning --target cortex-a76 --sweep SWEEP [--records DIR] --json FILE

A replay looks up what `benchmarks.sweep` measured, so many seeds cost nothing and all searches see the same
figures. The trained model knows the records in DIR (default: those that are shipped), except for those of the
layers that it is judged on; the untrained one and the search by chance know nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from benchmarks.interleave import geometric_mean
from benchmarks.networks import DType
from benchmarks.sweep import kind_tasks
from edgecompile.core.device import Metric
from edgecompile.core.store import write_atomically
from edgecompile.core.target import Target, find_target
from edgecompile.devices.open import open_device
from edgecompile.errors import EdgeCompileError
from edgecompile.tuning.cost_model import CostModel, Prior
from edgecompile.tuning.database import Database
from edgecompile.tuning.estimate import ENOUGH
from edgecompile.tuning.prior import learn_prior
from edgecompile.tuning.scheduler import reached_share
from edgecompile.tuning.search import Search
from edgecompile.tuning.session import BATCH
from edgecompile.tuning.shipped import shipped_folders
from edgecompile.tuning.task import Task

Row = dict[str, Any]
Array = np.ndarray[Any, Any]

SCHEMA_VERSION = 1
SEEDS = 3
# Where curves are read off, in trials.
POINTS = (1, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
GOOD = 0.95
# How near to the best a search has to come, as shares of the best speed.
LEVELS = (GOOD, 0.99)


@dataclass(frozen=True)
class Table:
    """A task and the value of each of its candidates; None for those that fail."""

    kind: str
    dtype: DType
    task: Task
    values: Sequence[float | None]

    @property
    def best(self) -> float:
        """The least value."""
        return min(value for value in self.values if value is not None)


def read_tables(target: Target, sweep: Database, metric: Metric) -> list[Table]:
    """The layers with what was measured of them; candidates without a measurement are left out.

    So are layers with no more than `ENOUGH` candidates, all of which any search would measure.
    """
    tables = []
    for dtype in get_args(DType):
        for kind, found in kind_tasks(target, dtype):
            task = found.task
            trials = sweep.of(task.workload.key, target.name, metric)
            known = {_key(trial.candidate): trial.value for trial in trials}
            places = [i for i, candidate in enumerate(task.candidates) if _key(candidate) in known]
            if len(places) <= ENOUGH or places[0] != 0:
                continue
            candidates = [task.candidates[place] for place in places]
            measured = replace(task, candidates=candidates, features=task.features[places])
            tables.append(Table(kind, dtype, measured, [known[_key(c)] for c in candidates]))
    return tables


@dataclass(frozen=True)
class Replay:
    """A search: `shares` are the best speed after each trial by the best there is, from 0 to 1.

    `stopped` is the trial after which `tune --until 95%` would have ended.
    """

    shares: Array
    stopped: int


def replay(table: Table, prior: Prior | None, seed: int) -> Replay:
    """One search, up to the last of `POINTS` trials."""
    search = Search(table.task, CostModel(prior), np.random.default_rng(seed), goal=POINTS[-1])
    order: list[int] = []
    stopped = 0
    while not search.is_done:
        batch = search.propose(BATCH)
        search.record({place: table.values[place] for place in batch})
        order += batch
        if not stopped and reached_share([search]) >= GOOD:
            stopped = len(order)
    return Replay(_shares(table, order), stopped or len(order))


def replay_by_chance(table: Table, seed: int) -> Array:
    """As `replay`, for candidates in any order behind the default."""
    others = np.random.default_rng(seed).permutation(np.arange(1, len(table.values)))
    return _shares(table, [0, *others.tolist()])


def _shares(table: Table, order: Sequence[int]) -> Array:
    values = [table.values[place] for place in order[: POINTS[-1]]]
    taken = np.minimum.accumulate([math.inf if value is None else value for value in values])
    return np.asarray(table.best / taken)


def trials_needed(shares: Array, level: float) -> int:
    """How many trials it takes to come to `level`, a share of the best speed."""
    return int(np.argmax(shares >= level)) + 1 if shares[-1] >= level else len(shares) + 1


def judge(table: Table, prior: Prior, seeds: int = SEEDS) -> Row:
    """All curves of one layer."""
    searches = {
        "trained": [replay(table, prior, seed) for seed in range(seeds)],
        "untrained": [replay(table, None, seed) for seed in range(seeds)],
    }
    curves = {name: [one.shares for one in found] for name, found in searches.items()}
    curves["by_chance"] = [replay_by_chance(table, seed) for seed in range(seeds)]
    default = table.values[0]
    return {
        "kind": table.kind,
        "dtype": table.dtype,
        "name": table.task.workload.description["name"],
        "candidates": len(table.values),
        "failed": sum(value is None for value in table.values),
        "default": 0.0 if default is None else round(table.best / default, 4),
        "shares": {name: _at_points(shares) for name, shares in curves.items()},
        "needed": {
            str(level): {name: [trials_needed(one, level) for one in found] for name, found in curves.items()}
            for level in LEVELS
        },
        "stopped": {name: [one.stopped for one in found] for name, found in searches.items()},
        "stopped_at": {
            name: [round(float(one.shares[one.stopped - 1]), 4) for one in found]
            for name, found in searches.items()
        },
    }


def _at_points(curves: Sequence[Array]) -> list[float]:
    """Geometric means over the seeds; where a space has ended, its last share counts on."""
    return [
        round(geometric_mean([float(curve[min(point, len(curve)) - 1]) or 1e-9 for curve in curves]), 4)
        for point in POINTS
    ]


def summarise(rows: Sequence[Row]) -> Row:
    """Geometric means over layers and seeds.

    `needed` are trials to each of `LEVELS`, of the `layers` whose default is not that good already.
    """
    names = list(rows[0]["shares"]) if rows else []
    return {
        "layers": len(rows),
        "shares": {name: _means([row["shares"][name] for row in rows]) for name in names},
        "needed": {str(level): _mean_needed(rows, level) for level in LEVELS},
    }


def _mean_needed(rows: Sequence[Row], level: float) -> Row:
    far = [row for row in rows if row["default"] < level]
    needed: Row = {"layers": len(far)}
    for name in far[0]["shares"] if far else ():
        needed[name] = round(geometric_mean([n for row in far for n in row["needed"][str(level)][name]]), 1)
    return needed


def _means(curves: Sequence[Sequence[float]]) -> list[float]:
    return [round(geometric_mean(points), 4) for points in zip(*curves, strict=True)]


def without(database: Database, workloads: Collection[str]) -> Database:
    """The records of all other workloads than these."""
    kept = Database()
    for trial in database.trials:
        if trial.workload not in workloads:
            kept.add(trial)
    return kept


def _key(candidate: Mapping[str, Any]) -> str:
    return json.dumps(candidate, sort_keys=True)


def measure(target: Target, sweep: Path, records: Sequence[Path]) -> Row:
    """Judge all layers of a sweep. Raises InputError (EC3504) where there is none."""
    metric = open_device(None, target).metric
    tables = read_tables(target, Database.open(sweep), metric)
    known = without(Database.open(*records), {table.task.workload.key for table in tables})
    rows = []
    for table in tables:
        prior = learn_prior(known, target.name, metric, table.task.features.shape[1])
        row = judge(table, prior)
        print(f"{table.kind} {table.dtype} {row['name']}: {row['needed']}", flush=True)
        rows.append(row)
    return {
        "schema_version": SCHEMA_VERSION,
        "target": target.name,
        "metric": metric,
        "seeds": SEEDS,
        "batch": BATCH,
        "points": POINTS,
        "prior": {"records": len(known.trials), "kernels": len({t.workload for t in known.trials})},
        "layers": rows,
        "mean": summarise(rows),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/tuning.py", description=str(__doc__).splitlines()[0])
    parser.add_argument("--target", required=True)
    parser.add_argument("--sweep", type=Path, required=True, help="records of benchmarks.sweep")
    parser.add_argument("--records", type=Path, help="what the trained model knows; default: what is shipped")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="write the result there")
    options = parser.parse_args(arguments)
    try:
        target = find_target(options.target)
        records = [options.records] if options.records else shipped_folders(target.name)
        result = measure(target, options.sweep, records)
    except EdgeCompileError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    print(json.dumps(result["mean"]["needed"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
