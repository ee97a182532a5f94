"""`edgecompile prune`: a network goes in, a smaller one of the same operators comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.chart import Line, line_chart
from edgecompile.core.model import Model
from edgecompile.core.store import write_file
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.prune.groups import index_map
from edgecompile.passes.prune.proof import prove
from edgecompile.passes.prune.sensitivity import as_record, block_record
from edgecompile.passes.prune.sparse import NOTE, parse_pattern, sparsify
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.prune_options import PruneOptions, check_options, check_sensitivity
from edgecompile.pruner import Pruner

_NOTHING: Progress = lambda task, done, total: None  # noqa: E731


@dataclass(frozen=True)
class PruneResult:
    """The pruned network, and the report as data."""

    model: Model
    report: dict[str, Any]


def prune_source(source: str, options: PruneOptions, progress: Progress = _NOTHING) -> PruneResult:
    """Prune `source` (x.onnx, x.tflite, x.pt2 or module:function).

    Raises UsageError (EC2050, EC2052, EC2520 to EC2529), InputError (EC33xx, EC352x), UnsupportedError
    (EC4391 by methods that need gradients, EC4530 to EC4532, EC4539), MissingToolError (EC5391), and what
    importing raises.
    """
    check_options(options)
    pruner = Pruner(source, options, progress)
    scores: dict[str, float] = {}
    if options.evaluate is not None:
        progress("evaluating", 0, None)
        scores["before"] = pruner.score(pruner.whole)
    costs = pruner.costs()
    base = {name: cost(pruner.whole) for name, cost in costs.items()}
    if options.max_accuracy_drop is None:
        units = pruner.units_by_cost(costs, base)
    else:
        units = pruner.units_by_score(scores["before"] - options.max_accuracy_drop)
    bare = pruner.cut(units)
    proof = prove(pruner.model, bare, units, dependencies=pruner.dependencies)
    model, recovery = pruner.recovered(bare, units)
    after = {name: cost(model) for name, cost in costs.items()}
    left = {name: after[name] / (base[name] or 1.0) for name in base}
    report: dict[str, Any] = {
        **pruner.settings(),
        "goal": dict(options.keep),
        "costs": {n: {"before": base[n], "after": after[n], "left": left[n]} for n in base},
        "reached": all(left[name] <= share + 1e-9 for name, share in options.keep.items()),
        "removed_layers": list(options.remove_layers),
        "groups": pruner.group_rows(units),
        "proof": asdict(proof) | {"holds": proof.holds},
        "indices": index_map(pruner.dependencies, units),
        "recovery": recovery,
    }
    if options.hard:
        _check_reached(report)
    if options.sparse is not None:
        model, layers = sparsify(model, parse_pattern(options.sparse))
        rows = [asdict(layer) for layer in layers]
        report["sparsity"] = {"pattern": options.sparse, "layers": rows, "note": NOTE}
    if scores:
        progress("evaluating", 0, None)
        scores["after"] = pruner.score(model)
        report["evaluation"] = scores | {"difference": scores["after"] - scores["before"]}
    return PruneResult(model, report)


def measure_sensitivity(
    source: str, options: PruneOptions, progress: Progress = _NOTHING
) -> list[dict[str, object]]:
    """How the outputs suffer, as data, when one group has fewer and fewer units, or one block is gone.

    See `draw`. Raises what `prune_source` does, and UsageError (EC2521) without samples.
    """
    check_sensitivity(options)
    plan = Pruner(source, options, progress).plan
    return [*as_record(plan.groups, plan.curves), *block_record(plan.model, plan.error)]


def draw(rows: Sequence[Mapping[str, Any]], title: str) -> str:
    """What `measure_sensitivity` says of groups as an SVG picture: error in dB over units left."""
    lines = [
        Line(
            str(row["name"]),
            [
                (100 * count / row["size"], 10 * float(np.log10(max(error, 1e-6))))
                for count, error in zip(row["units"], row["errors"], strict=True)
                if count < row["size"]
            ],
        )
        for row in rows
        if row["kind"] != "block"
    ]
    return line_chart(title, "units left, %", "error of the outputs, dB", lines)


def write_result(result: PruneResult, output: Path, report: Path | None = None) -> None:
    """Write the network, and the report as JSON. Raises InputError (EC3032)."""
    write_file(output, result.model.to_bytes())
    if report is not None:
        text = json.dumps(result.report, indent=2, sort_keys=True) + "\n"
        write_file(report, text.encode())


def _check_reached(report: Mapping[str, Any]) -> None:
    frozen = [row["name"] for row in report["groups"] if row["size"] > 1 and row["frozen"]]
    whole = f"these cannot be cut: {', '.join(frozen) or 'none'}"
    problems = [
        Problem(
            "EC4539",
            f"the network cannot be cut to {share:g} of its {name}",
            f"--keep-{name}",
            f"it reaches {report['costs'][name]['left']:.2f}; {whole}",
            "ask for less, or leave --hard out",
        )
        for name, share in report["goal"].items()
        if report["costs"][name]["left"] > share + 1e-9
    ]
    if problems:
        raise UnsupportedError(*problems)
