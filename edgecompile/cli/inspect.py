"""`edgecompile inspect`: layers, multiply-accumulates, parameters and activation peak of a network."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecompile.cli import ui
from edgecompile.cli.options import constant_option, import_options, input_option, trust_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgecompile.core.tensor import TensorInfo
    from edgecompile.inspect import Inspection


@click.command("inspect")
@click.argument("model")
@input_option
@constant_option
@trust_option
@ui.json_option
def command(
    model: str, inputs: tuple[str, ...], constants: tuple[str, ...], trust_pickle: bool, as_json: bool
) -> None:
    """List the layers of MODEL (an .onnx, .tflite or .pt2 file, or module:function), with what they cost."""
    from edgecompile.inspect import inspect_source

    options = import_options(inputs, constants, trust_pickle)
    with ui.working(f"reading {Path(model).name}"):
        found = inspect_source(model, options)
    totals = {"macs": found.macs, "parameters": found.parameters}
    ui.finish(asdict(found) | totals, _describe(found), as_json)


def _describe(found: Inspection) -> str:
    rows = [
        (layer.name, layer.operator, _shapes(layer.outputs), f"{layer.macs:,}", f"{layer.parameters:,}")
        for layer in found.layers
    ]
    lines = [ui.table(("LAYER", "OPERATOR", "OUTPUT", "MACS", "PARAMETERS"), rows), ""]
    lines += [f"input            {t.name}: {t.dtype} {ui.shape(t.shape)}" for t in found.inputs]
    lines += [f"output           {t.name}: {t.dtype} {ui.shape(t.shape)}" for t in found.outputs]
    lines += [
        f"layers           {len(found.layers)}",
        f"MACs             {found.macs:,}",
        f"parameters       {found.parameters:,} ({ui.size(found.parameter_bytes)})",
        f"activation peak  {ui.size(found.activation_peak_bytes)} (before fusion and in-place computation)",
    ]
    return "\n".join([*lines, *(f"note: {note}" for note in found.notes)])


def _shapes(tensors: Sequence[TensorInfo]) -> str:
    return " ".join(ui.shape(tensor.shape) for tensor in tensors)
