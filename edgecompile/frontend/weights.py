"""Are the constants of a model what they say: dimensions, length of the data, numbers that are numbers?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import numpy_helper

from edgecompile.errors import InputError, Problem
from edgecompile.frontend.limits import MAX_FILE_BYTES, MAX_RANK, MAX_TENSOR_ELEMENTS
from edgecompile.frontend.structure import all_nodes, label, subgraphs


@dataclass(frozen=True)
class _Tensor:
    message: onnx.TensorProto
    place: str
    kind: str


def check_sizes(model: onnx.ModelProto) -> None:
    """Raise InputError (EC3121) for constants and inputs of impossible size; reads no data."""
    shapes = [("input", value.name, _known_dims(value)) for value in model.graph.input]
    shapes += [(tensor.kind, tensor.place, list(tensor.message.dims)) for tensor in _tensors(model)]
    problems = [problem for shape in shapes if (problem := _size_problem(*shape))]
    elements = sum(math.prod(tensor.message.dims) for tensor in _tensors(model))
    if not problems and elements > MAX_FILE_BYTES:
        why = f"{elements} elements; at most {MAX_FILE_BYTES} bytes of weights can be read"
        problems.append(Problem("EC3121", "the weights are too large", model.graph.name, why))
    if problems:
        raise InputError(*problems)


def check_weights(model: onnx.ModelProto) -> tuple[str, ...]:
    """Raise InputError listing every bad constant; return notes about infinities.

    EC3122 damaged data, EC3123 NaN. A scalar NaN or an infinity is a legal constant (masks, comparisons) and
    only noted; NaN in a larger tensor is a training that diverged. External data must be loaded.
    """
    notes: list[str] = []
    found = (_inspect(tensor, notes) for tensor in _tensors(model))
    problems = [problem for problem in found if problem]
    if problems:
        raise InputError(*problems)
    return tuple(notes)


def _tensors(model: onnx.ModelProto) -> Iterator[_Tensor]:
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        yield from _node_tensors(function.node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[_Tensor]:
    for tensor in graph.initializer:
        yield _Tensor(tensor, tensor.name, "initializer")
    yield from _node_tensors(graph.node)


def _node_tensors(nodes: Sequence[onnx.NodeProto]) -> Iterator[_Tensor]:
    for node in all_nodes(nodes):
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.HasField("t"):
                yield _Tensor(attribute.t, label(node), "constant")
        for graph in subgraphs(node):
            for tensor in graph.initializer:
                yield _Tensor(tensor, tensor.name, "initializer")


def _known_dims(value: onnx.ValueInfoProto) -> list[int]:
    return [dim.dim_value for dim in value.type.tensor_type.shape.dim if dim.dim_value > 0]


def _size_problem(kind: str, name: str, dims: list[int]) -> Problem | None:
    if any(dim < 0 for dim in dims) or len(dims) > MAX_RANK:
        why = f"its dimensions are {dims[: MAX_RANK + 1]}"
        return Problem("EC3121", f"{kind} '{name}' has impossible dimensions", name, why)
    elements = math.prod(dims)
    if elements > MAX_TENSOR_ELEMENTS:
        why = f"{elements} elements; at most {MAX_TENSOR_ELEMENTS} can be addressed"
        return Problem("EC3121", f"{kind} '{name}' is too large", name, why, "use smaller dimensions")
    return None


def _inspect(tensor: _Tensor, notes: list[str]) -> Problem | None:
    name = tensor.message.name or tensor.place
    what = f"{tensor.kind} '{name}'"
    try:
        values = numpy_helper.to_array(tensor.message)
    except Exception as error:  # onnx raises many kinds; each means that the data does not fit the header
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        fix = "export the model again"
        return Problem("EC3122", f"the data of {what} is damaged", tensor.place, why, fix)
    if values.dtype.kind not in "fcV" or values.size == 0:
        return None
    numbers = values.astype(np.float32) if values.dtype.kind == "V" else values
    bad = int(np.isnan(numbers).sum())
    if bad and values.ndim:
        why = f"{bad} of {values.size} values"
        fix = "the training diverged or the export failed; use another checkpoint"
        return Problem("EC3123", f"{what} holds NaN", tensor.place, why, fix)
    if bad or np.isinf(numbers).any():
        notes.append(f"{what} holds {'NaN' if bad else 'infinities'}")
    return None
