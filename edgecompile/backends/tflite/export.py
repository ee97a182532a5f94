"""From a graph of integer operators to a TensorFlow Lite file whose reference kernels give the same integers.

The graph must round as these kernels do (`TFLITE_ROUNDING`): then a multiplier is made of the scales in the
file in the same way on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module

import onnx_ir as ir

from edgecompile.backends.tflite.file import write_network
from edgecompile.backends.tflite.registry import WRITERS, NotExpressible
from edgecompile.backends.tflite.view import GraphWriter, NodeView
from edgecompile.core.integer import DOMAIN, OPERATORS
from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.frontend.tflite.schema import Network
from edgecompile.passes.edit import constant_of

for _family in ("contractions", "elementwise", "movement", "pools"):
    import_module(f"edgecompile.backends.tflite.{_family}")

_FIX = "leave the layer out of the network, or compile for a CPU"


def export_tflite(model: Model) -> bytes:
    """The bytes of the file.

    Raises UnsupportedError: EC4543 for a network without integers, EC4540 for nodes that cannot be written.
    """
    check_quantized(model, "int8 TensorFlow Lite")
    graph = model.graph.graph
    return export_nodes(graph, graph.inputs, graph.outputs, model.provenance.source)


def export_nodes(
    nodes: Iterable[ir.Node], inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], source: str
) -> bytes:
    """The bytes of a file with part of a network that came from `source`.

    The scales of `inputs` must be known. Raises UnsupportedError (EC4540) for nodes that cannot be written.
    """
    return write_network(to_network(nodes, inputs, outputs, source))


def check_quantized(model: Model, what: str) -> None:
    """Raise UnsupportedError (EC4543) when nothing in the network is an integer; `what` needs that."""
    values = (value for node in model.graph.graph for value in node.outputs)
    if not any(value.dtype in (ir.DataType.INT8, ir.DataType.INT16) for value in values):
        why = f"{what} is for quantized networks only, this one computes real numbers"
        fix = "quantize it first: edgecompile quantize, or compile --quantize int8 --calibrate SAMPLES"
        raise UnsupportedError(
            Problem("EC4543", "the network is not quantized", model.provenance.source, why, fix)
        )


def to_network(
    nodes: Iterable[ir.Node], inputs: Sequence[ir.Value], outputs: Sequence[ir.Value], source: str
) -> Network:
    """The content of the file; see `export_nodes`."""
    writer = GraphWriter()
    starts = [writer.place_of(value) for value in inputs]
    problems = _write_all(writer, nodes)
    if problems:
        raise UnsupportedError(*problems.values())
    ends = [writer.place_of(value) for value in outputs]
    description = f"edgecompile, from {source}"
    return Network(tuple(writer.tensors), tuple(writer.operators), tuple(starts), tuple(ends), description)


def refused_nodes(model: Model) -> dict[ir.Node, Problem]:
    """The nodes that cannot be written, each with the problem (EC4540)."""
    return _write_all(GraphWriter(), model.graph.graph)


def _write_all(writer: GraphWriter, nodes: Iterable[ir.Node]) -> dict[ir.Node, Problem]:
    problems: dict[ir.Node, Problem] = {}
    for node in nodes:
        reason = _write(writer, node)
        if reason:
            what = f"{node.op_type} cannot be written as TensorFlow Lite"
            problems[node] = Problem("EC4540", what, node.name or "", reason, _FIX)
            for value in node.outputs:  # so that all problems are found
                writer.place_of(value)
    return problems


def _write(writer: GraphWriter, node: ir.Node) -> str:
    """Write one node; the reason why that is not possible, or ""."""
    function = WRITERS.get(node.op_type)
    if node.op_type in OPERATORS and node.domain != DOMAIN:
        function = None
    real = node.op_type not in ("QuantizeLinear", "DequantizeLinear") and _is_real(node)
    wide = node.outputs[0].dtype == ir.DataType.INT16
    if function is None or real or wide:
        return "it computes real numbers" if real else "it is of 16 bits" if wide else "it has no counterpart"
    try:
        function(NodeView(writer, node))
    except NotExpressible as reason:
        return str(reason)
    return ""


def _is_real(node: ir.Node) -> bool:
    """Whether the node computes floating-point numbers."""
    values = [*node.outputs, *(v for v in node.inputs[:1] if v is not None and constant_of(v) is None)]
    return any(value.dtype is not None and value.dtype.is_floating_point() for value in values)
