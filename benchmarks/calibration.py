"""What calibration costs beside executing the network: time and memory.

    python -m benchmarks.calibration [--network NAME] [--samples N] [--rounds N] [--json FILE]

The yardstick is onnxruntime with its default options, which computes the same samples with every tensor of
the same network as an output, its session made before. Both take turns, ours with all that it does:
equalizing, observing, choosing scales and integers. Samples are arrays in memory. The ratio is the median
over rounds of our time by onnxruntime's in the same round; peak memory is that of the process after the
first calibration, with Python, all libraries and the samples.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_tasks import TASKS, Task
from edgecompile.cli.ui import table
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import write_atomically
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.observe import Executor, Sample
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.recipes import find_recipe

Row = dict[str, Any]

SCHEMA_VERSION = 1
RECIPE = "int8"
LARGEST_RATIO, LARGEST_MEGABYTES = 1.5, 1500.0


def measure(task: Task, samples: int, rounds: int) -> Row:
    """One row of the result: seconds are medians over rounds."""
    model, _ = import_through(str(task.path), ImportOptions(task.shapes), Pipeline(preparing_passes()))
    names, data = [info.name for info in model.inputs], task.load()
    feeds: list[Sample] = [
        dict(zip(names, data.inputs(unit), strict=True)) for unit in range(min(samples, data.units))
    ]
    recipe = find_recipe(RECIPE)
    _seconds(lambda: calibrate(model.copy(), feeds, recipe))
    megabytes = _peak_megabytes()
    execute = _everything_exposed(model)
    execute(feeds[0])
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(_seconds(lambda: calibrate(model.copy(), feeds, recipe)))
        theirs.append(_seconds(lambda: _execute_all(execute, feeds)))
    return {
        "network": task.network,
        "recipe": RECIPE,
        "samples": len(feeds),
        "rounds": rounds,
        "ours_s": float(np.median(ours)),
        "onnxruntime_s": float(np.median(theirs)),
        "ratio": float(np.median(np.divide(ours, theirs))),
        "peak_mb": megabytes,
        "bar": {"largest_ratio": LARGEST_RATIO, "largest_mb": LARGEST_MEGABYTES},
    }


def _everything_exposed(model: Model) -> Executor:
    """The network with every tensor that a node computes as an output."""
    return Executor(model, [str(value.name) for node in model.graph.graph for value in node.outputs])


def _execute_all(execute: Executor, feeds: Sequence[Sample]) -> None:
    for feed in feeds:
        execute(feed)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _peak_megabytes() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def is_met(row: Row) -> bool:
    """Whether the bars of the row hold."""
    bar = row["bar"]
    return bool(row["ratio"] <= bar["largest_ratio"] and row["peak_mb"] <= bar["largest_mb"])


def lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The rows as words for a table."""
    return [
        (
            row["network"],
            str(row["samples"]),
            f"{row['ours_s']:.2f}",
            f"{row['onnxruntime_s']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['peak_mb']:.0f}",
            "met" if is_met(row) else "missed",
        )
        for row in rows
    ]


def render(rows: Sequence[Row]) -> str:
    """The rows as a table for people."""
    return table(("NETWORK", "SAMPLES", "OURS, s", "ONNXRUNTIME, s", "RATIO", "PEAK, MB", "BAR"), lines(rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status is 1 when a bar does not hold."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--network", default="mobilenetv2_imagenet")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parsed = parser.parse_args(arguments)
    task = next(task for task in TASKS if task.network == parsed.network)
    rows = [measure(task, parsed.samples, parsed.rounds)]
    print(render(rows))
    if parsed.json is not None:
        record = {"schema_version": SCHEMA_VERSION, "rows": rows}
        write_atomically(parsed.json, (json.dumps(record, indent=2) + "\n").encode())
    return 0 if all(map(is_met, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
