"""`edgecompile compile`: a network becomes a library for one target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from edgecompile.cli import ui
from edgecompile.cli.npu import describe_npu
from edgecompile.cli.options import (
    constant_option,
    device_option,
    import_options,
    input_option,
    trust_option,
)
from edgecompile.cli.pruning import describe as describe_pruning
from edgecompile.cli.pruning import pruned_file
from edgecompile.cli.quantize import calibrate_option, keep_float_option, network_stem, quantized_file
from edgecompile.cli.report import describe_memory
from edgecompile.cli.tuned import describe_tuning
from edgecompile.errors import Problem, UsageError

if TYPE_CHECKING:
    from edgecompile.core.artifact import Artifact, Emit


@click.command("compile")
@click.argument("model")
@click.option(
    "--target",
    "-t",
    required=True,
    metavar="NAME",
    help="What to compile for; see `edgecompile targets list`.",
)
@click.option(
    "--output", "-o", type=click.Path(path_type=Path), help="Folder to write.  [default: NAME.edge]"
)
@input_option
@constant_option
@click.option("--name", metavar="WORD", help="Prefix of all C symbols.  [default: from MODEL]")
@click.option(
    "--emit",
    type=click.Choice(["lib", "c", "tflite", "onnx", "mlpackage"]),
    help="A static library, portable C source, or what else a target takes.  [default: what the target says]",
)
@click.option(
    "--golden",
    type=click.Path(path_type=Path),
    metavar="FILE.npz",
    help="Inputs for the golden vectors: arrays by input name, samples first.  [default: seeded noise]",
)
@click.option(
    "--prune",
    metavar="macs=0.5,...",
    help="Prune the network first; words as the options of `edgecompile prune`, e.g. params=0.5,method=l1.",
)
@click.option(
    "--quantize",
    metavar="RECIPE,...",
    help="Quantize a float network first, with --calibrate; see `edgecompile quantize --list`. "
    "int8,reconstruct also learns how weights are rounded.",
)
@calibrate_option
@keep_float_option
@click.option(
    "--rounding",
    type=click.Choice(["single", "double", "float"]),
    help="How a quantized network rounds.  [default: what the file or the target says]",
)
@click.option(
    "--io",
    type=click.Choice(["float", "int8", "int16"]),
    default="float",
    show_default=True,
    help="What a quantized network takes and returns; integers: as stored, with scale and zero point.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many threads the network can use; with 1 it knows nothing of threads.",
)
@click.option(
    "--records",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Tuning records of your own; see `edgecompile tune`.",
)
@click.option("--untuned", is_flag=True, help="Use no tuning records, not the shipped ones either.")
@click.option(
    "--fallback",
    type=click.Choice(["none", "cpu"]),
    default="none",
    show_default=True,
    help="Who executes what an accelerator cannot: nobody, so that it is an error, or the CPU beside it.",
)
@click.option("--max-flash", metavar="SIZE", help="Refuse what needs more flash, e.g. 512k.")
@click.option("--max-ram", metavar="SIZE", help="Refuse what needs more RAM, e.g. 64k.")
@click.option("--no-budget", is_flag=True, help="Do not check the flash and RAM of the target.")
@click.option("--prove", is_flag=True, help="Check the graph after each pass against the graph before it.")
@click.option(
    "--dump-passes", type=click.Path(path_type=Path), metavar="DIR", help="Write the graph after each pass."
)
@trust_option
@click.option("--verify", "verify_too", is_flag=True, help="Execute the result afterwards and compare.")
@device_option
@ui.json_option
def command(
    model: str,
    target: str,
    output: Path | None,
    inputs: tuple[str, ...],
    constants: tuple[str, ...],
    name: str | None,
    emit: Emit | None,
    golden: Path | None,
    prune: str | None,
    quantize: str | None,
    calibrate: str | None,
    keep_float: tuple[str, ...],
    rounding: Literal["single", "double", "float"] | None,
    io: Literal["float", "int8", "int16"],
    threads: int,
    records: Path | None,
    untuned: bool,
    fallback: Literal["none", "cpu"],
    max_flash: str | None,
    max_ram: str | None,
    no_budget: bool,
    prove: bool,
    dump_passes: Path | None,
    trust_pickle: bool,
    verify_too: bool,
    device: str | None,
    as_json: bool,
) -> None:
    """Compile MODEL into a library without runtime, malloc or Python.

    MODEL is an .onnx, .tflite or .pt2 file, or module:function, a callable returning (torch module, example
    inputs).
    """
    from edgecompile.compiler import CompileOptions, compile_model
    from edgecompile.core.target import find_target

    _check_use(records, untuned, device, executed=verify_too or prune is not None)
    imported = import_options(inputs, constants, trust_pickle)
    options = CompileOptions(
        target=find_target(target),
        input_shapes=imported.input_shapes,
        # A pruned or quantized file has them inside already.
        constants=imported.constants if quantize is None and prune is None else {},
        name=name,
        emit=emit,
        dump_passes=dump_passes,
        trust_pickle=trust_pickle,
        check_budget=not no_budget,
        max_flash=ui.parse_size(max_flash, "--max-flash"),
        max_ram=ui.parse_size(max_ram, "--max-ram"),
        prove=prove,
        golden=golden,
        threads=threads,
        rounding=rounding,
        io=io,
        records=records,
        tuned=not untuned,
        fallback=fallback,
    )
    # Samples may be for pruning alone, and a pruned file has its constants inside.
    given = None if quantize is None and prune is not None else calibrate
    within = imported if prune is None else replace(imported, constants={})
    with (
        pruned_file(model, prune, options.target, device, calibrate, imported) as (pruned, pruning),
        quantized_file(pruned, quantize, given, keep_float, within) as source,
        ui.working(f"compiling {Path(model).name} for {options.target.name}"),
    ):
        result = compile_model(source, options, output or default_output(model, name))
    record, lines = _describe(result.artifact, result.report)
    if pruning is not None:
        record, lines = record | {"pruning": pruning}, [*describe_pruning(pruning), *lines]
    if verify_too:
        verified, line = _verify(result.artifact, device)
        record, lines = record | verified, [*lines, line]
    ui.finish(record, "\n".join(lines), as_json)


def _check_use(records: Path | None, untuned: bool, device: str | None, executed: bool) -> None:
    """Raise UsageError (EC2513, EC2515) for options that would have no effect."""
    problems = []
    if untuned and records is not None:
        why, fix = "--untuned uses none", "give one of both"
        problems.append(Problem("EC2513", "bad option value", "--records", why, fix))
    if device is not None and not executed:
        what, fix = "nothing would be executed there", "add --verify, or leave it out"
        problems.append(Problem("EC2515", what, "--device", "", fix))
    if problems:
        raise UsageError(*problems)


def default_output(model: str, name: str | None) -> Path:
    """NAME.edge in the current folder, NAME being `name` or what `model` is called."""
    return Path(f"{name or network_stem(model)}.edge")


def _describe(artifact: Artifact, report: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    lines = [
        f"wrote    {artifact.path}",
        f"target   {artifact.manifest.target}",
        *describe_memory(artifact.manifest),
        *describe_npu(report),
        *describe_tuning(report["tuning"]),
    ]
    lines += [f"note: {note}" for note in report.get("notes", ())]
    return {"artifact": str(artifact.path), "report": report}, lines


def _verify(artifact: Artifact, device: str | None) -> tuple[dict[str, Any], str]:
    from dataclasses import asdict

    from edgecompile.cli.verify import describe
    from edgecompile.verify import verify_artifact

    with ui.working(f"executing {artifact.manifest.name} for {artifact.manifest.target}"):
        report = verify_artifact(artifact, device, threads=artifact.manifest.threads)
    return {"verify": asdict(report)}, describe(report)
