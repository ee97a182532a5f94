"""What quantization costs in accuracy, on labelled data that was not calibrated with.

    python -m benchmarks.accuracy [--models NAME,...] [--contenders NAME,...] [--compiled] [--json FILE]

At most 128 units, or a quarter of the data, calibrate; the rest is scored. Where there are only about 128
units, each quarter calibrates in turn. Our recipes and onnxruntime's quantizer get the same units. Quantized
networks are executed by onnxruntime without graph optimizations; with --compiled, that of the recipe int8 is
executed by the binary for this machine as well. Drops are in points (hundredths of the score) with a 95 %
interval from paired bootstrap samples over units. A bar holds when the drop or the lower end of its interval
is within it; the exit status is 1 when one does not hold.

The rows of one network replace those in the file and the others stay, so that a run can go on later.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.accuracy_contenders import CONTENDERS, PEERS, Quantize
from benchmarks.accuracy_figures import Answers, Row, figures, judged
from benchmarks.accuracy_tasks import TASKS, Data, Task
from edgecompile.cli.ui import table
from edgecompile.compiler import CompileOptions, compile_model
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import write_atomically
from edgecompile.core.target import find_target
from edgecompile.execute import CompiledNetwork
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.quantize.observe import Executor, Sample
from edgecompile.passes.quantize.prepare import preparing_passes

Array = np.ndarray[Any, Any]
# A network as a function of the inputs of some units; it yields the outputs of each.
Network = Callable[[Sequence[tuple[Array, ...]]], Iterable[list[Array]]]

SCHEMA_VERSION = 2
COMPILED = "int8"
_SEED = 0
_MOST_SAMPLES = 128
# So many units are in memory at a time.
_BATCH = 64


def splits(units: int, folds: int) -> Iterator[tuple[Array, Array]]:
    """(units to calibrate with, units to score), each sorted: one pair, or one a fold."""
    order = np.random.default_rng(_SEED).permutation(units)
    size = min(_MOST_SAMPLES, units // 4)
    for fold in range(folds):
        chosen = order[fold * size : (fold + 1) * size]
        yield np.sort(chosen), np.setdiff1d(order, chosen)


def measure(task: Task, contenders: Mapping[str, Quantize], compiled: bool) -> list[Row]:
    """The rows of one network: one for each contender, and one for the binary."""
    data = task.load()
    model, _ = import_through(str(task.path), ImportOptions(task.shapes), Pipeline(preparing_passes()))
    before = _Remembered(data, _executed(model))
    rows = []
    for name, quantize in contenders.items():
        print(f"{task.network}, {name} ...", file=sys.stderr)
        started = time.perf_counter()
        try:
            rows += _measure_contender(data, model, before, quantize, compiled and name == COMPILED)
        except Exception as error:  # every quantizer has classes of its own
            rows.append({"error": str(error).strip() or type(error).__name__})
        for row in rows:
            row.setdefault("network", task.network)
            row.setdefault("recipe", name)
        print(f"    {time.perf_counter() - started:.0f} s", file=sys.stderr)
    return rows


def _measure_contender(
    data: Data, model: Model, before: _Remembered, quantize: Quantize, compiled: bool
) -> list[Row]:
    answers = {"onnxruntime": Answers()} | ({"binary": Answers()} if compiled else {})
    samples = 0
    for chosen, scored in splits(data.units, data.folds):
        samples, names = len(chosen), [info.name for info in model.inputs]
        feeds: list[Sample] = [dict(zip(names, data.inputs(int(u)), strict=True)) for u in chosen]
        quantized = quantize(model, feeds)
        networks = {"onnxruntime": _executed(quantized, exact=True)}
        if compiled:
            networks["binary"] = _compiled(quantized)
        for start in range(0, len(scored), _BATCH):
            units = [int(unit) for unit in scored[start : start + _BATCH]]
            inputs = [data.inputs(unit) for unit in units]
            for name, network in networks.items():
                for unit, result in zip(units, network(inputs), strict=True):
                    answers[name].add(data, unit, before(unit), result)
    common = {"samples": samples, "folds": data.folds}
    return [common | {"executed_by": name} | figures(data, found) for name, found in answers.items()]


class _Remembered:
    """The float network's outputs of each unit, computed once."""

    def __init__(self, data: Data, network: Network) -> None:
        self._data, self._network = data, network
        self._known: dict[int, list[Array]] = {}

    def __call__(self, unit: int) -> list[Array]:
        if unit not in self._known:
            (self._known[unit],) = self._network([self._data.inputs(unit)])
        return self._known[unit]


def _executed(model: Model, exact: bool = False) -> Network:
    execute = Executor(model, exact=exact)
    names = [info.name for info in model.inputs]
    return lambda units: (list(execute(dict(zip(names, unit, strict=True))).values()) for unit in units)


def _compiled(model: Model) -> Network:
    """The network compiled for this machine; the folder goes with the function."""
    folder = tempfile.TemporaryDirectory(prefix="edgecompile-accuracy-")
    source = Path(folder.name) / "network.onnx"
    source.write_bytes(model.to_bytes())
    options = CompileOptions(find_target("host"))
    network = CompiledNetwork(compile_model(str(source), options, Path(folder.name) / "out.edge").artifact)

    def run(units: Sequence[tuple[Array, ...]]) -> list[list[Array]]:
        assert folder.name
        result = network.run([np.stack(arrays) for arrays in zip(*units, strict=True)])
        return [list(outputs) for outputs in zip(*network.outputs(result, len(units)), strict=True)]

    return run


def render(rows: Sequence[Row]) -> str:
    """The rows as a table for people."""
    headers = ("NETWORK", "RECIPE", "N", "FLOAT", "INT8", "DROP", "95 % INTERVAL", "AGREE", "SQNR", "BAR")
    return table(headers, [(row["network"], label(row), *cells(row)) for row in rows])


def label(row: Row) -> str:
    """The recipe, and whether the binary was executed."""
    return str(row["recipe"]) + (", binary" if row.get("executed_by") == "binary" else "")


def cells(row: Row) -> tuple[str, ...]:
    """What is said about one contender, as words for a table."""
    if "error" in row:
        return ("failed", *[""] * 7)
    low, high = row["interval"]
    agreement = row["agreement"]
    return (
        str(row["n"]),
        f"{100 * row['float']:.2f}",
        f"{100 * row['quantized']:.2f}",
        f"{row['drop']:.2f}",
        f"{low:.2f} to {high:.2f}",
        "-" if agreement is None else f"{agreement:.2f}",
        f"{row['sqnr_db']:.1f}",
        _verdict(row),
    )


def _verdict(row: Row) -> str:
    """Whether the bar holds, and whether only the interval of the drop lets it."""
    if "met" not in row:
        return ""
    if not row["met"]:
        return "missed"
    return "met" if row["drop"] <= row["bar"]["largest_drop"] else "met by the interval"


def merged(record: Row, rows: Sequence[Row]) -> Row:
    """`record` with `rows` in place of those of the same networks and recipes, in the order of the tasks."""
    new = {(row["network"], row["recipe"]) for row in rows}
    kept = [row for row in record.get("rows", []) if (row["network"], row["recipe"]) not in new]
    networks, recipes = [task.network for task in TASKS], list(CONTENDERS)

    def place(row: Row) -> tuple[int, int]:
        return networks.index(row["network"]), recipes.index(row["recipe"])

    versions = {name: metadata.version(name) for name in ("edgecompile", "onnxruntime")}
    together = [_judged(row, [*kept, *rows]) for row in sorted([*kept, *rows], key=place)]
    return {"schema_version": SCHEMA_VERSION, "versions": versions, "rows": together}


def _judged(row: Row, rows: Sequence[Row]) -> Row:
    """`row` against its bar, if there is one, and what other quantizers made of the same network."""
    bars = next(task.bars for task in TASKS if task.network == row["network"])
    if "error" in row or row["recipe"] not in bars:
        return row
    peers = [other for other in rows if other["network"] == row["network"] and other["recipe"] in PEERS]
    return judged(row, bars[row["recipe"]], peers)


def holds(row: Row) -> bool:
    """Whether nothing about `row` is worse than it should be."""
    return row["recipe"] in PEERS or bool(row.get("met", "error" not in row))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--models", default="", help="only these, separated by commas")
    parser.add_argument("--contenders", default="", help="only these, separated by commas")
    parser.add_argument("--compiled", action="store_true", help="execute the compiled binaries as well")
    parser.add_argument("--json", type=Path, metavar="FILE", help="merge the result into it")
    parsed = parser.parse_args(arguments)
    models, names = (
        [name for name in text.split(",") if name] for text in (parsed.models, parsed.contenders)
    )
    contenders = {name: CONTENDERS[name] for name in CONTENDERS if not names or name in names}
    record: Row = {}
    if parsed.json is not None and parsed.json.exists():
        record = json.loads(parsed.json.read_text(encoding="utf-8"))
    wanted = [task for task in TASKS if not models or task.network in models]
    for task in wanted:
        record = merged(record, measure(task, contenders, parsed.compiled))
        print(render([row for row in record["rows"] if row["network"] == task.network]), flush=True)
        if parsed.json is not None:
            write_atomically(parsed.json, (json.dumps(record, indent=2) + "\n").encode())
    measured = {task.network for task in wanted}
    return 0 if all(holds(row) for row in record["rows"] if row["network"] in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
