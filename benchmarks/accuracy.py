"""What quantization costs in accuracy, on labelled data that was not calibrated with.

    python -m benchmarks.accuracy [--networks NAME,...] [--compiled] [--json FILE]

At most 128 units, or a quarter of the data, calibrate; the rest is scored. Where there are only about 128
units, each quarter calibrates in turn. The quantized network is executed by onnxruntime without graph
optimizations; with --compiled also by the binary for this machine. Drops are in points (hundredths of the
score) with a 95 % interval from 1000 paired bootstrap samples over units. A bar holds when the drop or the
lower end of its interval is within it; the exit status is 1 when one does not hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_tasks import TASKS, Data, Outcome, Task
from edgecompile.cli.ui import table
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import write_atomically
from edgecompile.core.target import find_target
from edgecompile.execute import CompiledNetwork
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.measure import Ratio
from edgecompile.passes.quantize.observe import Executor, Sample
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.recipes import find_recipe

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
# A network as a function of the inputs of one unit.
Network = Callable[[tuple[Array, ...]], list[Array]]

SCHEMA_VERSION = 1
_SEED = 0
_MOST_SAMPLES = 128


@dataclass
class _Answers:
    """What both networks said about the scored units, in the same order."""

    units: list[int]
    before: list[Outcome]
    after: list[Outcome]
    agreements: list[Array]
    ratio: Ratio

    @staticmethod
    def none() -> _Answers:
        return _Answers([], [], [], [], Ratio())

    def add(self, data: Data, unit: int, before: list[Array], after: list[Array]) -> None:
        self.units.append(unit)
        self.before.append(data.judge(unit, before))
        self.after.append(data.judge(unit, after))
        self.agreements.append(np.atleast_1d(data.decide(before) == data.decide(after)))
        self.ratio.add(before[0], after[0])


def splits(units: int, folds: int) -> Iterator[tuple[Array, Array]]:
    """(units to calibrate with, units to score), each sorted: one pair, or one a fold."""
    order = np.random.default_rng(_SEED).permutation(units)
    size = min(_MOST_SAMPLES, units // 4)
    for fold in range(folds):
        chosen = order[fold * size : (fold + 1) * size]
        yield np.sort(chosen), np.setdiff1d(order, chosen)


def paired_interval(data: Data, answers: _Answers) -> tuple[float, float]:
    """The middle 95 % of the drop in points over resampled units, the same ones for both networks.

    A unit that several folds score is drawn with all its outcomes.
    """
    generator = np.random.default_rng(_SEED)
    places: dict[int, list[int]] = {}
    for place, unit in enumerate(answers.units):
        places.setdefault(unit, []).append(place)
    of_unit = list(places.values())
    drops = []
    for _ in range(data.resamples):
        chosen = [i for draw in generator.integers(0, len(of_unit), len(of_unit)) for i in of_unit[draw]]
        scores = [data.score([outcomes[i] for i in chosen]) for outcomes in (answers.before, answers.after)]
        drops.append(100 * (scores[0] - scores[1]))
    low, high = np.percentile(drops, [2.5, 97.5])
    return float(low), float(high)


def measure(task: Task, compiled: bool) -> Row:
    """One row of the result."""
    data = task.load()
    imported = ImportOptions(task.shapes)
    model, _ = import_through(str(task.path), imported, Pipeline(preparing_passes()))
    before = _executed(model)
    answers, on_device = _Answers.none(), _Answers.none()
    samples = 0
    for chosen, scored in splits(data.units, data.folds):
        samples = len(chosen)
        names = [info.name for info in model.inputs]
        feeds: list[Sample] = [dict(zip(names, data.inputs(int(u)), strict=True)) for u in chosen]
        quantized = calibrate(model.copy(), feeds, find_recipe(task.recipe)).quantized()
        after = _executed(quantized)
        binary = _compiled(quantized, task.network) if compiled else None
        for unit in map(int, scored):
            inputs = data.inputs(unit)
            exact = before(inputs)
            answers.add(data, unit, exact, after(inputs))
            if binary is not None:
                on_device.add(data, unit, exact, binary(inputs))
    row = {"network": task.network, "recipe": task.recipe, "samples": samples, "folds": data.folds}
    row |= _figures(task, data, answers)
    if compiled:
        row["compiled"] = _figures(task, data, on_device)
    return row


def _figures(task: Task, data: Data, answers: _Answers) -> Row:
    before, after = data.score(answers.before), data.score(answers.after)
    low, high = paired_interval(data, answers)
    decisions = np.concatenate(answers.agreements)
    agreement = 100 * float(decisions.mean()) if decisions.size else None
    drop = 100 * (before - after)
    enough = task.least_agreement is None or (agreement is not None and agreement >= task.least_agreement)
    return {
        "n": len(answers.before),
        "float": before,
        "quantized": after,
        "drop": drop,
        "interval": [low, high],
        "agreement": agreement,
        "sqnr_db": answers.ratio.decibels,
        "bar": {"largest_drop": task.largest_drop, "least_agreement": task.least_agreement},
        "met": min(drop, low) <= task.largest_drop and enough,
    }


def _executed(model: Model) -> Network:
    quantized = any(node.op_type == "QuantizeLinear" for node in model.graph.graph)
    execute = Executor(model, exact=quantized)
    names = [info.name for info in model.inputs]
    return lambda inputs: list(execute(dict(zip(names, inputs, strict=True))).values())


def _compiled(model: Model, name: str) -> Network:
    """The network compiled for this machine; the folder goes with the function."""
    folder = tempfile.TemporaryDirectory(prefix="edgecompile-accuracy-")
    source = Path(folder.name) / f"{name}.onnx"
    source.write_bytes(model.to_bytes())
    options = CompileOptions(find_target("host"))
    network = CompiledNetwork(compile_model(str(source), options, Path(folder.name) / "out.edge").artifact)

    def run(inputs: tuple[Array, ...]) -> list[Array]:
        assert folder.name
        result = network.run([array[None] for array in inputs])
        return [array[0] for array in network.outputs(result, 1)]

    return run


def render(rows: Sequence[Row]) -> str:
    """The rows as a table for people."""
    headers = ("NETWORK", "RECIPE", "N", "FLOAT", "INT8", "DROP", "95 % INTERVAL", "AGREE", "SQNR", "BAR")
    lines = []
    for row in rows:
        for label, figures in (("", row), (" (binary)", row.get("compiled"))):
            if figures is not None:
                lines.append((row["network"] + label, row["recipe"], *_cells(figures)))
    return table(headers, lines)


def _cells(figures: Row) -> tuple[str, ...]:
    low, high = figures["interval"]
    agreement = figures["agreement"]
    return (
        str(figures["n"]),
        f"{100 * figures['float']:.2f}",
        f"{100 * figures['quantized']:.2f}",
        f"{figures['drop']:.2f}",
        f"{low:.2f} to {high:.2f}",
        "-" if agreement is None else f"{agreement:.2f}",
        f"{figures['sqnr_db']:.1f}",
        "met" if figures["met"] else "missed",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--networks", default="", help="only these, separated by commas")
    parser.add_argument("--compiled", action="store_true", help="execute the compiled binaries as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parsed = parser.parse_args(arguments)
    wanted = [name for name in parsed.networks.split(",") if name]
    rows = []
    for task in TASKS:
        if not wanted or task.network in wanted:
            print(f"{task.network}, {task.recipe} ...", file=sys.stderr)
            rows.append(measure(task, parsed.compiled))
    print(render(rows))
    if parsed.json is not None:
        record = {"schema_version": SCHEMA_VERSION, "rows": rows}
        write_atomically(parsed.json, (json.dumps(record, indent=2) + "\n").encode())
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
