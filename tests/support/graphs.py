"""Graphs written as text (ONNX's own syntax), and what tests want to know about them."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
import onnx.parser
import onnx_ir as ir

from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import Pass, PassResult
from edgecompile.passes.fix_names import FixNames
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.prove import Prover


def message(text: str, opset: int = 24, ir_version: int = 10, functions: str = "") -> onnx.ModelProto:
    """The model with the graph `text`, such as "g (float[2] x) => (float[2] y) { y = Relu(x) }"."""
    header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}, "local" : 1]>'
    return onnx.parser.parse_model(f"{header}\n{text}\n{functions}")


def model(text: str, opset: int = 24, functions: str = "", typed: bool = False) -> Model:
    """`message` as a Model with named nodes; with `typed`, all tensor types inferred and constants folded."""
    graph = ir.from_proto(message(text, opset, functions=functions))
    result = FixNames()(Model(graph, Provenance("test", "", opset))).model
    return FoldConstants()(result).model if typed else result


def operators(model: Model) -> list[str]:
    """Operator names of the main graph, in order."""
    return [node.op_type for node in model.graph.graph]


def run_proven(step: Pass, before: Model) -> PassResult:
    """Run `step` and check with onnxruntime that it stays within its tolerance, and says what it did."""
    reference, nodes_before = before.copy(), _computation(before)
    result = step(before)
    assert result.modified == (_computation(result.model) != nodes_before)
    error = Prover(samples=2)(reference, result.model)
    assert error <= step.tolerance, f"{step.name}: {error}"
    onnx.checker.check_model(result.model.to_proto())
    return result


def _computation(model: Model) -> bytes:
    """The model's bytes without the types of inner tensors, which a pass may add at any time."""
    proto = model.to_proto()
    for graph in _graphs(proto.graph):
        del graph.value_info[:]
        for value in graph.output:
            value.ClearField("type")
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
