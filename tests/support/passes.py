"""What tests of graph passes share: random weights as text, and all that must hold after any pass."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pass, PassResult
from edgecompile.core.tensor import TensorInfo
from edgecompile.passes.prove import generate_inputs, run_model
from tests.support.graphs import model, run_proven


def weights(**shapes: Sequence[int]) -> str:
    """Declarations of random initializers for ONNX's text syntax; positive where the name begins with "v".

    >>> weights(w=(2,))
    '<float[2] w = {...}>'
    """
    return f"<{', '.join(_declaration(name, tuple(shape)) for name, shape in shapes.items())}>"


def _declaration(name: str, shape: tuple[int, ...]) -> str:
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.startswith("v"):
        values = np.abs(values) + 0.5
    numbers = ", ".join(f"{value:.4f}" for value in values.ravel())
    dims = f"[{','.join(map(str, shape))}]" if shape else ""
    return f"float{dims} {name} = {{{numbers}}}"


def graph(signature: str, body: str, initializers: str = "", opset: int = 24) -> Model:
    """A typed model: `signature` like "float[1,2] x => float[1,2] y", `body` the nodes as text."""
    inputs, outputs = signature.split("=>")
    return model(f"g ({inputs}) => ({outputs}) {initializers} {{ {body} }}", opset, typed=True)


def proven(step: Pass, before: Model) -> PassResult:
    """Run `step` and check everything a pass promises: tolerance, honesty, true types, nothing left to do."""
    result = run_proven(step, before)
    check_types(result.model)
    again = run_proven(step, result.model.copy())
    assert not again.modified, f"{step.name} finds more to do after {again.notes}"
    return result


def unchanged(step: Pass, before: Model) -> None:
    """Check that `step` leaves `before` alone."""
    assert not run_proven(step, before).modified


def kinds(model: Model) -> list[str]:
    """Operator names of the main graph in order, without Reshape, which costs nothing."""
    return [node.op_type for node in model.graph.graph if node.op_type != "Reshape"]


def node_of(model: Model, op_type: str) -> ir.Node:
    """The only node of `op_type`."""
    (node,) = (node for node in model.graph.graph if node.op_type == op_type)
    return node


def check_types(model: Model) -> None:
    """Check by execution that every value has the shape and type that the graph says, and its own name."""
    probe = model.copy()
    values = [value for node in probe.graph.graph for value in node.outputs if value.name]
    names = [value.name for value in [*values, *probe.graph.graph.inputs]]
    names += list(probe.graph.graph.initializers)
    assert len(set(names)) == len(names), "value names are not unique"
    probe.graph.graph.outputs[:] = values
    described = [TensorInfo.from_json(info.to_json()) for info in probe.outputs]
    arrays = run_model(probe, generate_inputs(probe.inputs, 0))
    for info, array in zip(described, arrays, strict=True):
        assert (info.shape, info.dtype) == (array.shape, array.dtype.name), info.name
