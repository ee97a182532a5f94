"""`edgecompile prune`: cut channels, neurons and heads out of a network."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecompile.cli import ui
from edgecompile.cli.options import (
    constant_option,
    device_option,
    import_options,
    input_option,
    trust_option,
)
from edgecompile.cli.quantize import calibrate_option, network_stem
from edgecompile.errors import InputError, Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.target import Target
    from edgecompile.frontend.options import ImportOptions
    from edgecompile.prune import PruneResult
    from edgecompile.prune_options import PruneOptions

_RESOURCES = ("macs", "params", "flash", "arena", "latency")
# Words of `compile --prune` that are no resource, and what they become.
_WORDS = {"method": str, "allocation": str, "recover": str, "rounds": int, "multiple": int}


@click.command("prune")
@click.argument("model", required=False)
@click.option("--list", "list_methods", is_flag=True, help="List the methods.")
@click.option("--target", "-t", metavar="NAME", help="What it will be compiled for.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="File to write.  [default: NAME.pruned.onnx]"
)
@click.option(
    "--keep-macs", type=float, metavar="SHARE", help="Leave so much of the multiply-accumulates, e.g. 0.5."
)
@click.option("--keep-params", type=float, metavar="SHARE", help="Leave so much of the parameters.")
@click.option(
    "--keep-flash", type=float, metavar="SHARE", help="Leave so much of the compiled network's flash."
)
@click.option("--keep-arena", type=float, metavar="SHARE", help="Leave so much of its arena.")
@click.option(
    "--keep-latency",
    type=float,
    metavar="SHARE",
    help="Leave so much of its measured time, or of its instructions in an emulator.",
)
@click.option("--hard", is_flag=True, help="Fail (4) when the network cannot be cut that far.")
@click.option(
    "--method",
    metavar="NAME",
    help="What makes a unit important.  [default: reconstruction, without data l1]",
)
@click.option(
    "--allocation",
    type=click.Choice(["uniform", "global", "sensitivity"]),
    help="Where to cut: alike everywhere, by importance, or by harm.  [default: by harm; alike without data]",
)
@click.option(
    "--recover",
    type=click.Choice(["none", "least-squares", "distill"]),
    help="How the other weights make up for the cut.  [default: least-squares, without data none]",
)
@click.option("--rounds", type=int, default=1, show_default=True, metavar="N", help="Cut in so many rounds.")
@click.option(
    "--multiple", type=int, metavar="N", help="Keep multiples of N units.  [default: what vectors hold]"
)
@click.option(
    "--keep-whole", multiple=True, metavar="LAYER", help="Cut nothing of this layer. May be repeated."
)
@calibrate_option
@click.option(
    "--evaluate",
    metavar="MODULE:FUNCTION",
    help="Score both networks: the function takes one, itself a function of batches, and returns a number.",
)
@click.option(
    "--max-accuracy-drop",
    type=float,
    metavar="DROP",
    help="Cut as far as the score of --evaluate is at most so much lower.",
)
@click.option(
    "--sensitivity",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Only measure what each group is worth; draw it, and write FILE.json.",
)
@input_option
@constant_option
@trust_option
@device_option
@click.option(
    "--report", type=click.Path(path_type=Path), metavar="FILE.json", help="Write the whole report."
)
@ui.json_option
def command(
    model: str | None,
    list_methods: bool,
    target: str | None,
    output: Path | None,
    hard: bool,
    method: str | None,
    allocation: Any,
    recover: Any,
    rounds: int,
    multiple: int | None,
    keep_whole: tuple[str, ...],
    evaluate: str | None,
    max_accuracy_drop: float | None,
    calibrate: str | None,
    sensitivity: Path | None,
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
    trust_pickle: bool,
    device: str | None,
    report: Path | None,
    as_json: bool,
    **shares: float | None,
) -> None:
    """Prune MODEL (an .onnx, .tflite or .pt2 file, or module:function): a smaller network of whole layers.

    The result is an ordinary ONNX network, for `edgecompile quantize`, `compile` and anybody else.
    """
    from edgecompile.prune import write_result
    from edgecompile.prune_options import PruneOptions

    if list_methods:
        _list(as_json)
        return
    if model is None:
        fix = "edgecompile prune net.onnx --keep-macs 0.5 --calibrate data.npz"
        raise UsageError(Problem("EC2000", "MODEL is missing", "", "", fix))
    imported = import_options(inputs, constants, trust_pickle)
    options = PruneOptions(
        keep={name: share for name in _RESOURCES if (share := shares[f"keep_{name}"]) is not None},
        hard=hard,
        target=_target(target),
        device=device,
        calibrate=calibrate,
        method=method,
        allocation=allocation,
        recovery=recover,
        rounds=rounds,
        keep_whole=keep_whole,
        multiple=multiple,
        evaluate=evaluate,
        max_accuracy_drop=max_accuracy_drop,
        input_shapes=imported.input_shapes,
        constants=imported.constants,
        trust_pickle=imported.trust_pickle,
    )
    if sensitivity is not None:
        _sensitivity(model, options, sensitivity, as_json)
        return
    result = run(model, options)
    written = output or Path(f"{network_stem(model)}.pruned.onnx")
    write_result(result, written, report)
    record = {"output": str(written), "report": result.report}
    ui.finish(record, "\n".join([f"wrote    {written}", *describe(result.report)]), as_json)


def run(model: str, options: PruneOptions) -> PruneResult:
    """Prune with a progress bar."""
    from edgecompile.prune import prune_source

    with ui.progress_bar() as show:
        return prune_source(model, options, show)


@contextmanager
def pruned_file(
    model: str, prune: str | None, target: Target, calibrate: str | None, imported: ImportOptions
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
            if word in _RESOURCES:
                keep[word] = float(value)
            elif word == "hard" and not value:
                found["hard"] = True
            else:
                found["recovery" if word == "recover" else word] = _WORDS[word](value)
        except (ValueError, KeyError):
            fix = "write it like --prune macs=0.5,method=l1; words: " + ", ".join(
                [*_RESOURCES, *_WORDS, "hard"]
            )
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
    if not report["reached"]:
        lines += [f"frozen   {r['name']} ({r['size']}): {r['frozen']}" for r in rows if r["frozen"]]
    proof = report["proof"]
    if proof["exact"]:
        lines.append(f"proof    the cut is exact: {proof['max_error']:.1e} from the masked network")
    else:
        lines += ["proof    the cut is not exact", *(f"         {reason}" for reason in proof["why"])]
    lines.append(f"recovery {report['recovery']['how']}")
    if "evaluation" in report:
        scores = report["evaluation"]
        lines.append(f"score    {scores['after']:.4f} (before {scores['before']:.4f})")
    return lines


def _sensitivity(model: str, options: PruneOptions, path: Path, as_json: bool) -> None:
    from edgecompile.prune import draw, measure_sensitivity

    with ui.progress_bar() as show:
        curves = measure_sensitivity(model, options, show)
    data = path.with_suffix(".json")
    try:
        path.write_text(draw(curves, f"Sensitivity of {network_stem(model)}"), encoding="utf-8")
        data.write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(Problem("EC3524", "cannot write the result", str(path), str(error))) from None
    record = {"picture": str(path), "data": str(data), "curves": curves}
    ui.finish(record, f"wrote    {path}\nwrote    {data}", as_json)


def _target(name: str | None) -> Target | None:
    from edgecompile.core.target import find_target

    return None if name is None else find_target(name)


def _list(as_json: bool) -> None:
    from edgecompile.passes.prune.importance.methods import METHODS

    rows = [(m.name, _needs(m), m.description) for m in METHODS.values()]
    record = {"methods": {name: {"needs": needs, "description": text} for name, needs, text in rows}}
    ui.finish(record, ui.table(("METHOD", "NEEDS", "GOES BY"), rows), as_json)


def _needs(method: Any) -> str:
    if method.needs_gradients:
        return "samples, PyTorch"
    return "samples" if method.needs_samples else ""
