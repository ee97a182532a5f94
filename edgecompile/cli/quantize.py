"""`edgecompile quantize`: a float network becomes one of 8-bit integers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecompile.cli import ui
from edgecompile.cli.options import constant_option, import_options, input_option, trust_option
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.frontend.options import ImportOptions
    from edgecompile.quantize import QuantizeOptions, QuantizeResult

calibrate_option = click.option(
    "--calibrate",
    metavar="DATA",
    help="Samples of the inputs: an .npz file, a folder of arrays or images, or module:function.",
)
evaluate_option = click.option(
    "--evaluate",
    metavar="MODULE:FUNCTION",
    help="Score both networks: the function takes one, itself a function of batches, and returns a number.",
)
keep_float_option = click.option(
    "--keep-float", multiple=True, metavar="LAYER", help="Compute this layer in float. May be repeated."
)


@click.command("quantize")
@click.argument("model", required=False)
@click.option("--list", "list_recipes", is_flag=True, help="List the recipes.")
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="File to write.  [default: NAME.int8.onnx]"
)
@click.option("--recipe", default="int8", show_default=True, metavar="NAME", help="How to quantize.")
@calibrate_option
@keep_float_option
@input_option
@constant_option
@trust_option
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.json",
    help="Write ranges, noise and sensitivity of all layers; measuring takes a while.",
)
@evaluate_option
@click.option(
    "--max-accuracy-drop",
    type=float,
    metavar="DROP",
    help="Keep the fewest layers in float with which the score of --evaluate is at most so much lower.",
)
@click.option("--reconstruct", is_flag=True, help="Learn how weights are rounded; takes minutes and PyTorch.")
@click.option(
    "--reconstruct-steps", type=int, metavar="N", help="Steps of learning for each block.  [default: 200]"
)
@ui.json_option
def command(
    model: str | None,
    list_recipes: bool,
    output: Path | None,
    recipe: str,
    calibrate: str | None,
    keep_float: tuple[str, ...],
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
    trust_pickle: bool,
    report: Path | None,
    evaluate: str | None,
    max_accuracy_drop: float | None,
    reconstruct: bool,
    reconstruct_steps: int | None,
    as_json: bool,
) -> None:
    """Quantize MODEL (an .onnx, .tflite or .pt2 file, or module:function) with samples of its inputs.

    The result is an ONNX network with QuantizeLinear and DequantizeLinear nodes, for `edgecompile compile`
    and anybody else who reads ONNX.
    """
    from edgecompile.core.store import check_writable
    from edgecompile.quantize import QuantizeOptions, write_result

    if list_recipes:
        _list(as_json)
        return
    if model is None:
        fix = "edgecompile quantize net.onnx --calibrate data.npz"
        raise UsageError(Problem("EC2000", "MODEL is missing", "", "", fix))
    options = QuantizeOptions(
        **_data(calibrate, keep_float, import_options(inputs, constants, trust_pickle)),
        recipe=recipe,
        analyze=report is not None,
        evaluate=evaluate,
        max_accuracy_drop=max_accuracy_drop,
        reconstruct=reconstruct,
        reconstruct_steps=reconstruct_steps,
    )
    written = output or Path(f"{network_stem(model)}.{recipe}.onnx")
    check_writable(written, report)
    result = run(model, options)
    write_result(result, written, report)
    record = {"output": str(written), "report": result.report}
    ui.finish(record, "\n".join([f"wrote    {written}", *describe(result.report)]), as_json)


def _data(calibrate: str | None, keep_float: Sequence[str], imported: ImportOptions) -> dict[str, Any]:
    """The fields of QuantizeOptions that say what is read."""
    return {
        "calibrate": calibrate,
        "keep_float": keep_float,
        "input_shapes": imported.input_shapes,
        "constants": imported.constants,
        "trust_pickle": imported.trust_pickle,
    }


def run(model: str, options: QuantizeOptions) -> QuantizeResult:
    """Quantize with a progress bar."""
    from edgecompile.quantize import quantize_source

    with ui.progress_bar() as show:
        return quantize_source(model, options, show)


@contextmanager
def quantized_file(
    model: str,
    quantize: str | None,
    calibrate: str | None,
    keep_float: Sequence[str],
    imported: ImportOptions,
) -> Iterator[str]:
    """`model` itself without `quantize`, else a temporary file of the same name with the quantized network.

    `quantize` is "int8" or "int8,reconstruct". Raises UsageError (EC2325) for options of quantization
    without it, and for words that nobody knows.
    """
    if quantize is None:
        if calibrate is not None or keep_float:
            what, fix = "--calibrate and --keep-float quantize", "add --quantize int8"
            raise UsageError(Problem("EC2325", what, "--quantize", "it is missing", fix))
        yield model
        return
    from edgecompile.quantize import QuantizeOptions, write_result

    options = QuantizeOptions(**_data(calibrate, keep_float, imported), **parse_quantize(quantize))
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
        path = Path(folder) / f"{network_stem(model)}.onnx"
        write_result(run(model, options), path)
        yield str(path)


def parse_quantize(text: str) -> dict[str, Any]:
    """Fields of QuantizeOptions from "int8" or "int8,reconstruct,reconstruct-steps=50".

    Raises UsageError (EC2325).
    """
    recipe, *words = (word.strip() for word in text.split(","))
    found: dict[str, Any] = {"recipe": recipe}
    for word in words:
        name, _, value = word.partition("=")
        if word == "reconstruct":
            found["reconstruct"] = True
        elif name == "reconstruct-steps" and value.isdecimal():
            found["reconstruct_steps"] = int(value)
        else:
            fix = "write it like --quantize int8,reconstruct,reconstruct-steps=50"
            raise UsageError(Problem("EC2325", f"cannot read '{word}'", "--quantize", "", fix))
    return found


def network_stem(model: str) -> str:
    """What a file made from `model` is called."""
    return Path(model).stem if Path(model).suffix else model.rpartition(":")[2]


def describe(report: dict[str, Any]) -> list[str]:
    """The report in a few lines."""
    lines = _describe_static(report) if "samples" in report else _describe_rewrite(report)
    lines += [f"output   {name}: {_decibels(ratio)}" for name, ratio in report["outputs"].items()]
    lines += [f"suggest  --keep-float {name}" for name in report.get("suggested_keep_float", ())]
    if "reconstruction" in report:
        blocks = report["reconstruction"]["blocks"]
        better = sum(block["after"] < block["before"] for block in blocks)
        lines.append(f"rounding learned: {better} of {len(blocks)} blocks come closer to float")
    if "mixed_precision" in report:
        mixed = report["mixed_precision"]
        found = f"{len(mixed['layers'])} layers to float, found by {len(mixed['trials'])} scores"
        lines.append(f"mixed    {found} for a drop of at most {mixed['max_accuracy_drop']:g}")
    if "evaluation" in report:
        scores = report["evaluation"]
        lines.append(f"score    {scores['quantized']:.4f} (float {scores['float']:.4f})")
    return lines + [f"note: {note}" for note in report["notes"]]


def _describe_static(report: dict[str, Any]) -> list[str]:
    lines = [
        f"recipe   {report['recipe']}, {report['samples']} samples",
        f"layers   {report['layers_in_integers']} in integers, {len(report['layers_in_float'])} in float",
    ]
    sparse = report["sparse_layers"].values()
    if sparse:
        kept = sum(layer["kept"] for layer in sparse)
        lines.append(f"sparse   {kept} of {len(sparse)} layers with a pattern of zeros keep it")
    return lines + [f"float    {name}" for name in report["layers_in_float"]]


def _describe_rewrite(report: dict[str, Any]) -> list[str]:
    before, after = (report["bytes_of_constants"][key] / 1000 for key in ("float", "quantized"))
    return [
        f"recipe   {report['recipe']}",
        f"layers   {len(report['layers_quantized'])} quantized, constants {before:.1f} -> {after:.1f} kB",
    ]


def _decibels(ratio: float | None) -> str:
    return "equal to float" if ratio is None else f"{ratio:.1f} dB signal to quantization noise"


def _list(as_json: bool) -> None:
    from edgecompile.passes.quantize.recipes import RECIPES

    rows = [(recipe.name, recipe.description) for recipe in RECIPES.values()]
    record = {"recipes": dict(rows)}
    ui.finish(record, ui.table(("RECIPE", "WHAT IT DOES"), rows), as_json)
