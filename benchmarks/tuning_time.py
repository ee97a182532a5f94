"""How soon a network is as fast as by the shipped records, from what the records of other kernels teach.

    python -m benchmarks.tuning_time [--target host] [--networks NAME,...] [--time 60s] --json FILE

The session knows the shipped records, except for those of the kernels that it tunes. What it had found after
some seconds is a variant of the network. When it has ended, these, the untuned network and the one by the
shipped records take turns in one program. Instructions add up, so for emulated targets nothing is built.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.networks import SHAPES, find_networks
from benchmarks.tuning import GOOD, without
from edgecompile.cli.tune import parse_time
from edgecompile.core.store import write_atomically
from edgecompile.core.target import Target, find_target
from edgecompile.devices.open import open_device
from edgecompile.errors import EdgeCompileError
from edgecompile.tuning.extract import find_tasks
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.network import Figures, NetworkBench, Variant
from edgecompile.tuning.pool import Pool
from edgecompile.tuning.record import canonical
from edgecompile.tuning.selection import select
from edgecompile.tuning.session import Budget, Progress, Session
from edgecompile.tuning.shipped import open_records
from edgecompile.tuning.tune import TuneOptions, optimized_network
from edgecompile.tuning.versions import tool_versions

Row = dict[str, Any]

SCHEMA_VERSION = 1
# Seconds that a network may take.
LIMITS: Mapping[str, float] = {"kws_dscnn": 60.0, "mobilenetv2_imagenet": 420.0}
# When to look at what was found, as shares of the limit.
MOMENTS = (0.125, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class State:
    """What a session had found after so many seconds and trials."""

    seconds: float
    trials: int
    found: Variant


def watch(session: Session, seconds: float) -> list[State]:
    """Run `session` and note its state after every batch. Raises as Session.run."""
    states: list[State] = []

    def note(progress: Progress) -> None:
        found = {
            search.task.workload.key: search.task.candidates[search.best]
            for search in session.searches
            if search.best is not None
        }
        states.append(State(progress.seconds, progress.measured, found))

    session.run(Budget(seconds=seconds), note)
    return states


def at(states: Sequence[State], moments: Sequence[float]) -> list[State]:
    """The last state before each of some moments; before the first there is none."""
    found = []
    for moment in moments:
        before = [state for state in states if state.seconds <= moment]
        found += before[-1:]
    return found


def compare(variants: Sequence[Variant], bench: NetworkBench, session: Session) -> list[float | None]:
    """Seconds or instructions of a whole network for each variant; None where that cannot be told."""
    if session.pool.metric != "seconds":
        return [_add_up(variant, session) for variant in variants]
    names = [canonical(variant) for variant in variants]
    different = dict(zip(names, variants, strict=True))
    figures: Figures = bench.compare(list(different.values()), session.pool.lend)[0]
    by_name = dict(zip(different, figures, strict=True))
    return [None if isinstance(by_name[name], str) else float(by_name[name]) for name in names]


def _add_up(variant: Variant, session: Session) -> float | None:
    """The sum of all kernels, by the records."""
    total = 0.0
    for search in session.searches:
        key, candidates = search.task.workload.key, search.task.candidates
        trials = session.database.of(key, session.pool.target.name, session.pool.metric)
        wanted = variant.get(key, candidates[0])
        value = next((trial.value for trial in trials if trial.candidate == wanted), None)
        if value is None:
            return None
        total += search.task.weight * value
    return total


def measure(path: Path, target: Target, seconds: float) -> Row:
    """The row of one network. Raises what importing and tuning raise."""
    with tempfile.TemporaryDirectory(prefix="edgecompile-bench-") as folder:
        options = TuneOptions(target, Path(folder), input_shapes=SHAPES.get(path.stem, {}))
        model = optimized_network(str(path), options)
        tasks = find_tasks(model, target, target.codegen.route)
        keys = [task.task.workload.key for task in tasks]
        shipped = open_records(target)
        with (
            NetworkBench(model, target) as bench,
            Pool(tasks, target, [open_device(None, target)]) as pool,
            Journal(Path(folder) / "session.jsonl") as journal,
        ):
            session = Session(tasks, pool, without(shipped, keys), journal, tool_versions())
            states = watch(session, seconds)
            for trial in shipped.trials:
                session.database.add(trial)
            chosen = select(target).trials
            by_records = {key: chosen[key].candidate for key in keys if key in chosen}
            seen = at(states, [share * seconds for share in MOMENTS])
            figures = compare([{}, by_records, *(state.found for state in seen)], bench, session)
    row = {"network": path.stem, "target": target.name, "metric": pool.metric, "kernels": len(tasks)}
    return row | {"known": len(by_records)} | judge(states, seen, figures)


def judge(states: Sequence[State], seen: Sequence[State], figures: Sequence[float | None]) -> Row:
    """How the states that were `seen` compare: shares of the speed by the records, None for no figure.

    `figures` are those of the untuned network, of the one by the records, and of `seen`.
    """
    best = figures[1]
    shares = [round(best / figure, 3) if best and figure else None for figure in figures]
    moments = [
        {"seconds": round(state.seconds, 1), "trials": state.trials, "share": share}
        for state, share in zip(seen, shares[2:], strict=True)
    ]
    reached = (moment["seconds"] for moment in moments if (moment["share"] or 0.0) >= GOOD)
    last = states[-1] if states else State(0.0, 0, {})
    return {
        "trials": last.trials,
        "trials_per_minute": round(60 * last.trials / last.seconds) if last.seconds else 0,
        "untuned": shares[0],
        "moments": moments,
        "reached_s": next(reached, None),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks/tuning_time.py", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("--target", default="host")
    parser.add_argument("--networks", default=",".join(LIMITS), help="default: %(default)s")
    parser.add_argument("--time", help="for each network, e.g. 60s; default: its own limit")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="write the result there")
    options = parser.parse_args(arguments)
    try:
        target, given = find_target(options.target), parse_time(options.time)
        rows = []
        for path in find_networks([], options.networks.split(","), core=False):
            rows.append(measure(path, target, given or LIMITS.get(path.stem, max(LIMITS.values()))))
            print(json.dumps(rows[-1]), flush=True)
    except EdgeCompileError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    result = {"schema_version": SCHEMA_VERSION, "level": GOOD, "rows": rows}
    write_atomically(options.json, (json.dumps(result, indent=1) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
