"""From a graph to a saved Core ML model. Everything here runs in a process of its own: see tool.py.

coremltools' builder checks every operation as it is added, by the rules that Core ML itself has for types
and shapes, and chooses its version for the system that is aimed at. That is why it is used, although the
protocol buffers could be written without it. Its optimizations are off, but for the few that saving includes:
the graph is what our passes made.
"""

from __future__ import annotations

import json
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.backends.coreml.evaluator.program import MODEL, WEIGHTS
from edgecompile.backends.coreml.registry import WRITERS
from edgecompile.backends.coreml.view import MIL_TYPES, NodeView, ProgramWriter, stored_type
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.target import CoreMl
from edgecompile.errors import Problem, UnsupportedError

for _family in ("contractions", "elementwise", "images", "movement", "quantized", "recurrent", "resize"):
    import_module(f"edgecompile.backends.coreml.{_family}")

_FIX = "leave the layer out of the network, or compile for a CPU"
# What a caller hands over: Core ML has arrays of these types only.
_BORDER = {"float16": "fp32", "bool": "int32", "int8": "int32", "uint8": "int32"}
_SPACE = uuid.UUID("5c3e6a2e-64cb-5c0e-8f0e-6f6d6c706b67")


def write_package(model: Model, settings: CoreMl, folder: Path) -> None:
    """Write the network as a Core ML package `folder`.

    Raises UnsupportedError (EC4601) with every node that coremltools rejects.
    """
    import coremltools
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.mil import Function, Program, types

    opset = getattr(coremltools.target, settings.deployment)
    small = {name: getattr(types, f"np_{name}_dtype") for name in ("int4", "uint1", "uint2", "uint4")}
    writer = ProgramWriter(Builder, small if opset >= coremltools.target.iOS18 else None)
    graph = model.graph.graph
    inputs, outputs = (
        [writer.name(str(value.name)) for value in side] for side in (graph.inputs, graph.outputs)
    )
    holders = {
        name: Builder.placeholder(shape=info.shape or (1,), dtype=_border_type(types, info.dtype))
        for name, info in zip(inputs, model.inputs, strict=True)
    }
    program = Program()
    with Function(holders, opset_version=opset) as function:
        _write_body(writer, graph, [function.inputs[name] for name in inputs])
        function.set_outputs([_finish(writer, *pair) for pair in zip(graph.outputs, outputs, strict=True)])
    program.add_function("main", function)
    converted = coremltools.convert(
        program,
        convert_to="mlprogram",
        minimum_deployment_target=opset,
        pass_pipeline=coremltools.PassPipeline.EMPTY,
        skip_model_load=True,
    )
    _save(converted, folder)


def _border_type(types: Any, dtype: str) -> Any:
    held = stored_type(dtype)
    return getattr(types, _BORDER.get(held, MIL_TYPES.get(held, held)))


def _write_body(writer: ProgramWriter, graph: ir.Graph, inputs: list[Any]) -> None:
    """Casts of the inputs to what the program computes in, and all nodes. Raises UnsupportedError.

    Numbers are vectors of one element where the program begins and ends.
    """
    for value, variable in zip(graph.inputs, inputs, strict=True):
        held = stored_type(tensor_info(value).dtype)
        kind = MIL_TYPES.get(held, held)
        inner = writer.emit("cast", f"{variable.name}_held", x=variable, dtype=kind)
        scalar = tensor_info(value).shape == ()
        writer.values[value] = writer.emit("squeeze", f"{variable.name}_scalar", x=inner) if scalar else inner
    problems = [problem for node in graph if (problem := _write(writer, node)) is not None]
    if problems:
        raise UnsupportedError(*problems)


def _finish(writer: ProgramWriter, value: ir.Value, name: str) -> Any:
    """An output as the caller gets it."""
    held = stored_type(tensor_info(value).dtype)
    variable, wanted = writer.values[value], _BORDER.get(held, held)
    if isinstance(variable, np.ndarray):
        variable = writer.emit("const", f"{name}_constant", val=variable)
    if tensor_info(value).shape == ():
        variable = writer.emit("expand_dims", f"{name}_vector", x=variable, axes=[0])
    return writer.emit_as(name, "cast", x=variable, dtype=MIL_TYPES.get(wanted, wanted))


def _write(writer: ProgramWriter, node: ir.Node) -> Problem | None:
    """Write one node; what coremltools has against it."""
    try:
        WRITERS[node.op_type](NodeView(writer, node))
    except (ValueError, TypeError, AssertionError, NotImplementedError) as error:
        for value in node.outputs:  # so that all problems are found
            info = tensor_info(value)
            writer.values[value] = np.zeros(info.shape, stored_type(info.dtype))
        why = " ".join(str(error).split()) or type(error).__name__
        return Problem("EC4601", f"coremltools rejects {node.op_type}", str(node.name), why, _FIX)
    return None


def _save(converted: Any, folder: Path) -> None:
    """The package's three files, without dates, random identifiers and any order but that of names."""
    specification = converted.get_spec()
    specification.description.metadata.userDefined.clear()
    (folder / MODEL).parent.mkdir(parents=True)
    (folder / MODEL).write_bytes(specification.SerializeToString(deterministic=True))
    weights = Path(converted.weights_dir) / Path(WEIGHTS).name
    if weights.is_file():
        (folder / WEIGHTS).parent.mkdir()
        (folder / WEIGHTS).write_bytes(weights.read_bytes())
    (folder / "Manifest.json").write_text(_manifest(folder), encoding="utf-8")


def _manifest(folder: Path) -> str:
    """What is in the package. Identifiers are made of the content's names, so they are always the same."""
    items = {"model.mlmodel": "CoreML Model Specification"}
    if (folder / WEIGHTS).is_file():
        items["weights"] = "CoreML Model Weights"
    entries = {
        str(uuid.uuid5(_SPACE, name)): {
            "author": "com.apple.CoreML",
            "description": description,
            "name": name,
            "path": f"com.apple.CoreML/{name}",
        }
        for name, description in items.items()
    }
    root = str(uuid.uuid5(_SPACE, "model.mlmodel"))
    record = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": root}
    return json.dumps(record, indent=4, sort_keys=True) + "\n"
