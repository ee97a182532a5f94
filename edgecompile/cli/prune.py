"""`edgecompile prune`: cut channels, neurons and heads out of a network."""

from __future__ import annotations

import json
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
from edgecompile.cli.pruning import RESOURCES, describe, run
from edgecompile.cli.quantize import calibrate_option, evaluate_option, network_stem
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.target import Target
    from edgecompile.prune_options import PruneOptions


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
@click.option(
    "--remove-layer",
    "remove_layers",
    multiple=True,
    metavar="LAYER",
    help="Remove it first: a residual sum with its branch, or a layer that keeps shapes. May be repeated.",
)
@click.option(
    "--sparse",
    metavar="PATTERN",
    help="Set weights to 0 at last: 2:4 of neighbours, or 4x1:0.5 of blocks. No gain on dense kernels.",
)
@calibrate_option
@evaluate_option
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
    help="Only measure what groups and blocks are worth; draw it, and write FILE.json.",
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
    remove_layers: tuple[str, ...],
    sparse: str | None,
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
    from edgecompile.core.store import check_writable
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
        keep={name: share for name in RESOURCES if (share := shares[f"keep_{name}"]) is not None},
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
        remove_layers=remove_layers,
        sparse=sparse,
    )
    if sensitivity is not None:
        _sensitivity(model, options, sensitivity, as_json)
        return
    written = output or Path(f"{network_stem(model)}.pruned.onnx")
    check_writable(written, report)
    result = run(model, options)
    write_result(result, written, report)
    record = {"output": str(written), "report": result.report}
    ui.finish(record, "\n".join([f"wrote    {written}", *describe(result.report)]), as_json)


def _sensitivity(model: str, options: PruneOptions, path: Path, as_json: bool) -> None:
    from edgecompile.core.store import check_writable, write_file
    from edgecompile.prune import draw, measure_sensitivity

    data = path.with_suffix(".json")
    if data == path:
        what, fix = "the picture and its figures would be one file", "give a name such as net.svg"
        raise UsageError(Problem("EC2054", what, "--sensitivity", f"the figures go to {data.name}", fix))
    check_writable(path, data)
    with ui.progress_bar() as show:
        curves = measure_sensitivity(model, options, show)
    write_file(path, draw(curves, f"Sensitivity of {network_stem(model)}").encode())
    write_file(data, (json.dumps(curves, indent=1) + "\n").encode())
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
