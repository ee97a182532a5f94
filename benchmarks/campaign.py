"""Make the records that are shipped: tune the networks and layers that tuning_logs/campaign.toml names.

    python -m benchmarks.campaign --targets cortex-a72,cortex-m4 --records DIR [--time 2h]
    python -m benchmarks.campaign --records DIR --select

It can be stopped at any moment and goes on where it was; kernels with enough trials are left out. Every run
writes a file of its own below DIR. `--select` chooses what to ship and writes it to tuning_logs/.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.layers import Layer, save_layers
from benchmarks.networks import COPY, SHAPES, describe, find_networks, quantized_copy
from edgecompile.cli.tune import parse_time
from edgecompile.core.data import data_folder
from edgecompile.core.target import find_target
from edgecompile.errors import EdgeCompileError, Problem, UnsupportedError, UsageError, did_you_mean
from edgecompile.tuning.database import Database, succeeded
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.maintain import select, write_records
from edgecompile.tuning.record import Record, Trial, canonical, encode
from edgecompile.tuning.session import Budget, Progress
from edgecompile.tuning.shipped import OTHERS, SHIPPED
from edgecompile.tuning.tune import TuneOptions, list_tasks, open_session

# Trials of a first round over all kernels; each further round has twice as many. Between rounds the cost
# model learns from all that was measured.
FIRST_GOAL = 16


@dataclass(frozen=True)
class TargetPlan:
    """What is tuned for one target: `trials` for each kernel, and the `bytes` that may be shipped."""

    target: str
    trials: int
    bytes: int
    networks: Sequence[str]
    families: Mapping[str, Sequence[Layer]]


def read_plans(path: Path) -> dict[str, TargetPlan]:
    """The plans by target. A target may narrow down the networks and families that stand at the top."""
    table: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    layers = {name: [Layer(**row) for row in rows] for name, rows in table["layers"].items()}
    common = {"networks": table["networks"], "families": list(layers)}
    plans = {}
    for target, own in table["targets"].items():
        values = common | own
        families = {name: layers[name] for name in values["families"]}
        plans[target] = TargetPlan(target, own["trials"], own["bytes"], values["networks"], families)
    return plans


def find_sources(plan: TargetPlan, folder: Path) -> Iterator[Path]:
    """The files to tune: networks, generated layers, and copies of both in int8, which stay in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = find_networks([], plan.networks, core=False)
    paths += [save_layers(layers, folder / f"{name}.onnx") for name, layers in plan.families.items()]
    for path in paths:
        yield path
        copy = folder / f"{path.stem}{COPY}.onnx"
        if not copy.exists():
            network = describe(path)
            if network.dtype == "int8":
                continue
            with tempfile.TemporaryDirectory(dir=folder) as unfinished:
                quantized_copy(network, Path(unfinished)).replace(copy)
        yield copy


def collect_tasks(plan: TargetPlan, folder: Path) -> list[KernelTask]:
    """The kernels of all files, each workload once."""
    target = find_target(plan.target)
    found: dict[str, KernelTask] = {}
    for path in find_sources(plan, folder):
        options = TuneOptions(target, folder, input_shapes=SHAPES.get(path.stem, {}))
        try:
            tasks = list_tasks(str(path), options)
        except UnsupportedError:
            print(f"{plan.target}: nothing to tune in {path.name}", file=sys.stderr)
            continue
        for task in tasks:
            found.setdefault(task.task.workload.key, task)
    return list(found.values())


def goals(trials: int) -> list[int]:
    """How many trials each kernel has after each round."""
    rounds = [FIRST_GOAL << n for n in range(trials.bit_length()) if FIRST_GOAL << n < trials]
    return [*rounds, trials]


def run(plan: TargetPlan, records: Path, deadline: float) -> bool:
    """Tune what is left for one target until `deadline` (of time.monotonic); whether nothing is left.

    Raises what tuning raises.
    """
    target = find_target(plan.target)
    tasks = collect_tasks(plan, records / "networks")
    options = TuneOptions(target, records / plan.target)
    journal = f"{datetime.now(UTC):%Y%m%dT%H%M%S}.jsonl"
    print(f"{plan.target}: {len(tasks)} kernels, {wanted(tasks, plan.trials)} trials in all", flush=True)
    for goal in goals(plan.trials):
        with open_session(tasks, options, journal, goal) as session:

            def show(progress: Progress, goal: int = goal) -> None:
                total = wanted(tasks, goal)
                rate = f"{progress.seconds / 60:.0f} minutes"
                print(f"{plan.target}: {progress.done} of {total} trials, {rate}", flush=True)

            session.run(Budget(seconds=deadline - time.monotonic()), show)
        if time.monotonic() >= deadline:
            return False
    return True


def wanted(tasks: Sequence[KernelTask], goal: int) -> int:
    """Trials of all kernels together when each has reached `goal`, or the end of its space."""
    return sum(min(goal, len(task.task.candidates)) for task in tasks)


def ship(plan: TargetPlan, records: Path) -> tuple[int, int]:
    """Write what is shipped for one target to tuning_logs/; returns how many records, and their bytes."""
    tasks = collect_tasks(plan, records / "networks")
    best, others = choose(current(Database.open(records / plan.target), tasks), plan.bytes)
    folder = data_folder(SHIPPED) / plan.target
    count = write_records(best, folder / "best.jsonl") + write_records(others, folder / OTHERS)
    return count, sum(path.stat().st_size for path in folder.iterdir())


def current(database: Database, tasks: Sequence[KernelTask]) -> Database:
    """The trials of candidates that `tasks` still have, with the features that these have now."""
    by_key = {found.task.workload.key: found.task for found in tasks}
    places = {
        (key, canonical(candidate)): place
        for key, task in by_key.items()
        for place, candidate in enumerate(task.candidates)
    }
    kept = Database()
    for trial in database.trials:
        place = places.get((trial.workload, canonical(trial.candidate)))
        if place is None:
            continue
        task = by_key[trial.workload]
        kept.add(task.workload)
        features = tuple(round(float(value), 4) for value in task.features[place])
        kept.add(trial if trial.network else replace(trial, features=features))
    return kept


def choose(database: Database, limit: int) -> tuple[list[Record], list[Trial]]:
    """The best of each kernel and its default, and others by chance as far as `limit` bytes go.

    Those by chance teach a cost model what is slow.
    """
    best = select(database, best=1, others=0)
    room = limit - sum(len(encode(record)) for record in best)
    taken = {record.identity for record in best if isinstance(record, Trial)}
    others = [trial for trial in succeeded(database.trials) if trial.identity not in taken]
    random.Random(0).shuffle(others)
    sizes = itertools.accumulate(len(encode(trial)) for trial in others)
    return best, [trial for trial, size in zip(others, sizes, strict=True) if size <= room]


def main(arguments: Sequence[str] | None = None) -> int:
    plans = read_plans(data_folder(SHIPPED) / "campaign.toml")
    parser = argparse.ArgumentParser(prog="benchmarks/campaign.py", description=str(__doc__).splitlines()[0])
    parser.add_argument("--targets", default=",".join(plans), help="default: all")
    parser.add_argument("--records", type=Path, required=True, metavar="DIR", help="folder of all trials")
    parser.add_argument("--time", help="stop after a time, e.g. 90m or 2h")
    parser.add_argument("--select", action="store_true", help="choose what to ship instead of tuning")
    options = parser.parse_args(arguments)
    try:
        seconds = parse_time(options.time)
        deadline = time.monotonic() + (math.inf if seconds is None else seconds)
        for name in options.targets.split(","):
            if name not in plans:
                hint = did_you_mean(name, list(plans))
                raise UsageError(
                    Problem("EC2512", f"the campaign has no target '{name}'", "--targets", "", hint)
                )
            if options.select:
                count, size = ship(plans[name], options.records)
                print(f"{name}: {count} records, {size:,} bytes")
            elif not run(plans[name], options.records, deadline):
                break
    except EdgeCompileError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
