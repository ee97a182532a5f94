"""Prune for a command: `edgecompile prune` itself, and `edgecompile compile --prune`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecompile.cli import ui
from edgecompile.cli.quantize import network_stem
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.target import Target
    from edgecompile.frontend.options import ImportOptions
    from edgecompile.prune import PruneResult
    from edgecompile.prune_options import PruneOptions

RESOURCES = ("macs", "params", "flash", "arena", "latency")
# Other words of `compile --prune`: fields of PruneOptions.
_FIELDS: Mapping[str, tuple[str, type]] = {
    "method": ("method", str),
    "allocation": ("allocation", str),
    "recover": ("recovery", str),
    "rounds": ("rounds", int),
    "multiple": ("multiple", int),
    "sparse": ("sparse", str),
}


def run(model: str, options: PruneOptions) -> PruneResult:
    """Prune with a progress bar."""
    from edgecompile.prune import prune_source

    with ui.progress_bar() as show:
        return prune_source(model, options, show)


@contextmanager
def pruned_file(
    model: str,
    prune: str | None,
    target: Target,
    device: str | None,
    calibrate: str | None,
    imported: ImportOptions,
) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """`model` itself without `prune`, else a temporary file of the same name; and the report of pruning.

    `prune` is "macs=0.5,method=l1" or the like. Raises UsageError (EC2530).
    """
    if prune is None:
        yield model, None
        return
    from edgecompile.prune import write_result

    options = replace(
        parse_prune(prune),
        target=target,
        device=device,
        calibrate=calibrate,
        input_shapes=imported.input_shapes,
        constants=imported.constants,
        trust_pickle=imported.trust_pickle,
    )
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
        path = Path(folder) / f"{network_stem(model)}.onnx"
        result = run(model, options)
        write_result(result, path)
        yield str(path), result.report


def parse_prune(text: str) -> PruneOptions:
    """Options from "macs=0.5,method=l1,hard". Raises UsageError (EC2530)."""
    from edgecompile.prune_options import PruneOptions

    keep: dict[str, float] = {}
    found: dict[str, Any] = {}
    for item in text.split(","):
        word, _, value = item.strip().partition("=")
        try:
            if word in RESOURCES:
                keep[word] = float(value)
            elif word == "hard" and not value:
                found["hard"] = True
            else:
                name, kind = _FIELDS[word]
                found[name] = kind(value)
        except (ValueError, KeyError):
            words = ", ".join([*RESOURCES, *_FIELDS, "hard"])
            fix = f"write it like --prune macs=0.5,method=l1; words: {words}"
            raise UsageError(Problem("EC2530", f"cannot read '{item}'", "--prune", "", fix)) from None
    return PruneOptions(keep=keep, **found)


def describe(report: Mapping[str, Any]) -> list[str]:
    """The report in a few lines."""
    lines = [f"method   {report['method']}, {report['allocation']}, {report['samples']} samples"]
    for name, cost in report["costs"].items():
        asked = report["goal"].get(name)
        missed = asked is not None and cost["left"] > asked + 1e-9
        note = f"  reached {cost['left']:.2f}, asked {asked:g}" if missed else f"  {cost['left']:.2f} left"
        lines.append(f"{name:8} {cost['before']:.0f} -> {cost['after']:.0f}{note}")
    rows = report["groups"]
    cut = sum(row["kept"] < row["size"] for row in rows)
    lines.append(f"groups   {cut} of {len(rows)} cut")
    lines += [f"removed  {name}" for name in report["removed_layers"]]
    if not report["reached"]:
        lines += [f"frozen   {r['name']} ({r['size']}): {r['frozen']}" for r in rows if r["frozen"]]
    proof = report["proof"]
    if proof["exact"]:
        lines.append(f"proof    the cut is exact: {proof['max_error']:.1e} from the masked network")
    else:
        lines += ["proof    the cut is not exact", *(f"         {reason}" for reason in proof["why"])]
    lines.append(f"recovery {report['recovery']['how']}")
    if "sparsity" in report:
        sparsity = report["sparsity"]
        lines.append(
            f"sparse   {sparsity['pattern']} in {len(sparsity['layers'])} layers: {sparsity['note']}"
        )
    if "evaluation" in report:
        scores = report["evaluation"]
        lines.append(f"score    {scores['after']:.4f} (before {scores['before']:.4f})")
    return lines
