"""What pruning costs in accuracy and saves in instructions.

    python -m benchmarks.pruning [--parts accuracy,digits,speed] [--json FILE] [--plots FOLDER]

Networks are pruned with at most 128 calibration samples and without labels or training; the rest of the
data is scored, by onnxruntime. The yardstick is the usual baseline: the same share of each layer's filters
goes, those with the smallest sum of weights. On scikit-learn's digits, a network that was trained for them
is pruned and then taught by what it was. Drops are in points (hundredths of the share of right answers).
Instructions are those of the compiled network, counted by an emulator. The exit status is 1 when a bar does
not hold.

The rows of one part replace those in the file and the others stay.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmarks.accuracy import splits
from benchmarks.accuracy_tasks import TASKS, Data, Task
from edgecompile.cli.ui import table
from edgecompile.compiled_cost import CompiledCost, CostTable
from edgecompile.core.chart import Line, line_chart
from edgecompile.core.model import Model
from edgecompile.core.store import write_atomically
from edgecompile.core.target import find_target
from edgecompile.passes.quantize.observe import Executor
from edgecompile.prune import PruneResult, draw, measure_sensitivity, prune_source
from edgecompile.prune_options import PruneOptions, Recovery

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

SCHEMA_VERSION = 1
SHARES = (0.85, 0.7, 0.5)
# The share of multiply-accumulates that bars are about, and the largest drop at it.
BAR_SHARE = 0.7
LARGEST_DROPS: Mapping[str, float] = MappingProxyType({"resnet20_cifar10": 3.0, "kws_dscnn": 2.0})
# Of the baseline's drop at most so much may be left.
LARGEST_PART = 0.5
DIGITS_SHARE, DIGITS_DROP = 0.5, 1.0
SPEED_NETWORK, SPEED_TARGET, SPEED_SHARE, LARGEST_RATIO = "resnet20_cifar10", "cortex-a72", 0.5, 0.65

BASELINE, DEFAULT = "l1", "default"
CONTENDERS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        BASELINE: {"method": "l1", "allocation": "uniform", "recovery": "none"},
        "l1, recovered": {"method": "l1", "allocation": "uniform"},
        DEFAULT: {},
    }
)


@dataclass(frozen=True)
class _Folder:
    """A task's calibration samples in a file, and what is scored."""

    task: Task
    data: Data
    samples: Path
    scored: Sequence[int]

    def prune(self, share: float, target: str | None = None, **settings: Any) -> PruneResult:
        options = PruneOptions(
            keep={"macs": share},
            target=None if target is None else find_target(target),
            calibrate=str(self.samples),
            input_shapes=self.task.shapes,
            **settings,
        )
        return prune_source(str(self.task.path), options)

    def score(self, model: Model) -> float:
        names, execute = [info.name for info in model.inputs], Executor(model)
        outcomes = []
        for unit in self.scored:
            feeds = dict(zip(names, self.data.inputs(unit), strict=True))
            outcomes.append(self.data.judge(unit, list(execute(feeds).values())))
        return self.data.score(outcomes)


def _open(network: str, folder: Path) -> _Folder:
    task = next(task for task in TASKS if task.network == network)
    data = task.load()
    chosen, scored = next(splits(data.units, data.folds))
    arrays = [np.concatenate(column) for column in zip(*map(data.inputs, map(int, chosen)), strict=True)]
    samples = folder / f"{network}.npz"
    named: dict[str, Any] = {f"in_{index}": array for index, array in enumerate(arrays)}
    np.savez(samples, **named)
    return _Folder(task, data, samples, [int(unit) for unit in scored])


def measure_accuracy(folder: Path) -> list[Row]:
    """The drop of each contender at each share, for each network."""
    rows = []
    for network in LARGEST_DROPS:
        work = _open(network, folder)
        before = work.score(work.prune(1.0, method="l1", recovery="none").model)
        for name, settings in CONTENDERS.items():
            for share in SHARES:
                result = work.prune(share, **settings)
                after = work.score(result.model)
                left = result.report["costs"]["macs"]["left"]
                row: Row = {"part": "accuracy", "network": network, "contender": name, "share": share}
                row |= {"macs": left, "params": result.report["costs"]["params"]["left"]}
                row |= {"samples": result.report["samples"], "n": len(work.scored), "before": before}
                rows.append(row | {"after": after, "drop": 100 * (before - after)})
                print(f"{network}, {name}, {share:g}: {rows[-1]['drop']:.2f}", file=sys.stderr, flush=True)
    return [judged(row, rows) for row in rows]


def judged(row: Row, rows: Sequence[Row]) -> Row:
    """`row` with its bar and whether it holds, where it has one."""
    if row["contender"] == BASELINE or row["share"] != BAR_SHARE:
        return row
    baseline = next(
        other["drop"]
        for other in rows
        if (other["network"], other["share"], other["contender"]) == (row["network"], BAR_SHARE, BASELINE)
    )
    limit = LARGEST_PART * baseline
    if row["contender"] == DEFAULT:
        limit = min(LARGEST_DROPS[row["network"]], limit)
    return row | {"bar": limit, "met": bool(row["drop"] <= limit)}


def measure_digits(folder: Path) -> list[Row]:
    """The drop of a network for digits at half of its work, after it was taught by the whole one."""
    from edgecompile.demo import _data

    learned, tested, _, digits = _data()
    np.savez(folder / "digits.npz", in_0=learned[:, None])
    source, scores = "edgecompile.demo:trained_network", []
    plan: tuple[tuple[float, Recovery], ...] = (
        (1.0, "none"),
        (DIGITS_SHARE, "least-squares"),
        (DIGITS_SHARE, "distill"),
    )
    for share, recovery in plan:
        options = PruneOptions({"macs": share}, calibrate=str(folder / "digits.npz"), recovery=recovery)
        result = prune_source(source, options)
        execute, (info,) = Executor(result.model), result.model.inputs
        answers = [next(iter(execute({info.name: picture[None]}).values())).argmax() for picture in tested]
        scores.append((recovery, result.report["costs"]["macs"]["left"], float(np.mean(answers == digits))))
    before = scores[0][2]
    rows: list[Row] = [
        {"part": "digits", "network": "digits", "contender": recovery, "share": DIGITS_SHARE, "macs": left}
        | {"n": len(digits), "before": before, "after": after, "drop": 100 * (before - after)}
        for recovery, left, after in scores[1:]
    ]
    rows[-1] |= {"bar": DIGITS_DROP, "met": rows[-1]["drop"] <= DIGITS_DROP}
    return rows


def measure_speed(folder: Path) -> list[Row]:
    """Instructions of a network at half of its multiply-accumulates, and of the whole one."""
    work = _open(SPEED_NETWORK, folder)
    count = CompiledCost("latency", find_target(SPEED_TARGET), CostTable())
    before = count(work.prune(1.0, method="l1", recovery="none").model)
    result = work.prune(SPEED_SHARE, target=SPEED_TARGET)
    after = count(result.model)
    row: Row = {"part": "speed", "network": SPEED_NETWORK, "contender": SPEED_TARGET, "share": SPEED_SHARE}
    row |= {"macs": result.report["costs"]["macs"]["left"], "before": before, "after": after}
    ratio = after / before
    return [row | {"ratio": ratio, "bar": LARGEST_RATIO, "met": bool(ratio <= LARGEST_RATIO)}]


PARTS: Mapping[str, Callable[[Path], list[Row]]] = MappingProxyType(
    {"accuracy": measure_accuracy, "digits": measure_digits, "speed": measure_speed}
)


def cells(row: Row) -> tuple[str, ...]:
    """One row as words for a table."""
    figure = f"{row['ratio']:.3f} of the instructions" if "ratio" in row else f"{row['drop']:.2f} points"
    bar = f"{row['bar']:.2f} {'met' if row['met'] else 'missed'}" if "bar" in row else ""
    return row["network"], row["contender"], f"{row['share']:g}", f"{row['macs']:.3f}", figure, bar


def render(rows: Sequence[Row]) -> str:
    """The rows as a table for people."""
    headers = ("NETWORK", "CONTENDER", "ASKED", "MACS LEFT", "DROP OR SPEED", "BAR")
    return table(headers, map(cells, rows))


def pareto(rows: Sequence[Row], network: str) -> str:
    """Right answers over multiply-accumulates, a line for each contender."""
    own = [row for row in rows if row["part"] == "accuracy" and row["network"] == network]
    lines = [
        Line(
            name,
            [(100.0, 100 * own[0]["before"])]
            + [(100 * row["macs"], 100 * row["after"]) for row in own if row["contender"] == name],
        )
        for name in dict.fromkeys(row["contender"] for row in own)
    ]
    return line_chart(network, "multiply-accumulates left, %", "right answers, %", lines)


def _draw(rows: Sequence[Row], folder: Path, scratch: Path) -> None:
    network = "kws_dscnn"
    work = _open(network, scratch)
    curves = measure_sensitivity(str(work.task.path), PruneOptions(calibrate=str(work.samples)))
    (folder / "pruning-sensitivity.svg").write_text(draw(curves, network), encoding="utf-8")
    (folder / "pruning-pareto.svg").write_text(pareto(rows, network), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS), help="only these, separated by commas")
    parser.add_argument("--json", type=Path, metavar="FILE", help="merge the result into it")
    parser.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="draw the plots of docs/pruning.md there"
    )
    parsed = parser.parse_args(arguments)
    record: Row = {}
    if parsed.json is not None and parsed.json.exists():
        record = json.loads(parsed.json.read_text(encoding="utf-8"))
    rows: list[Row] = record.get("rows", [])
    wanted = [name for name in PARTS if name in parsed.parts.split(",")]
    with tempfile.TemporaryDirectory(prefix="edgecompile-pruning-") as name:
        for part in wanted:
            rows = [row for row in rows if row["part"] != part] + PARTS[part](Path(name))
            if parsed.json is not None:
                data = json.dumps({"schema_version": SCHEMA_VERSION, "rows": rows}, indent=2)
                write_atomically(parsed.json, (data + "\n").encode())
        if parsed.plots is not None:
            _draw(rows, parsed.plots, Path(name))
    print(render(rows))
    return 0 if all(row.get("met", True) for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
