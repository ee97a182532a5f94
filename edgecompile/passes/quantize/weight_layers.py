"""Which layers of a network have weights that can be stored in 4 bits, and in which order they come."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import add_initializer, constant_of
from edgecompile.passes.rewriting import graph_of

# Below that not even 4 kB are saved, and it is mostly the last layer of a small network, whose errors nothing
# behind it averages out.
LEAST_WEIGHTS = 1024


def find_layers(graph: ir.Graph, keep_float: Collection[str]) -> list[ir.Node]:
    """The layers, in the graph's order, without those named in `keep_float`."""
    return [node for node in graph if not _why_float(node, keep_float)]


def notes_on_float_weights(graph: ir.Graph, keep_float: Collection[str]) -> list[str]:
    """One sentence for each node that keeps many float weights, with the reason."""
    return [
        f"{node.name} ({node.op_type}) keeps its {count} float weights: {why}"
        for node in graph
        if (why := _why_float(node, keep_float)) and (count := _float_weights(node)) >= LEAST_WEIGHTS
    ]


def levels(graph: ir.Graph, layers: Sequence[ir.Node]) -> list[list[ir.Node]]:
    """`layers` in steps: one depends only on those of earlier steps, and on at least one of the last step."""
    chosen = set(layers)
    depths: dict[ir.Value, int] = {}
    found: dict[int, list[ir.Node]] = {}
    for node in graph:
        depth = max((depths.get(value, 0) for value in node.inputs if value is not None), default=0)
        if node in chosen:
            found.setdefault(depth, []).append(node)
            depth += 1
        depths.update(dict.fromkeys(node.outputs, depth))
    return [found[depth] for depth in sorted(found)]


def store_inputs_first(node: ir.Node) -> None:
    """Give a Gemm that reads its weights transposed weights [K, N]."""
    if node.op_type != "Gemm" or not node.attributes.get_int("transB", 0):
        return
    old = node.inputs[1]
    array = constant_of(old)
    assert array is not None
    assert old is not None
    node.replace_input_with(1, add_initializer(graph_of(node), f"{old.name}/gemm", array.T, old))
    del node.attributes["transB"]


def _why_float(node: ir.Node, keep_float: Collection[str]) -> str:
    """Why the weights of `node` stay float; nothing when they need not."""
    if node.name in keep_float:
        return "as asked for"
    if node.op_type not in ("Gemm", "MatMul") or node.domain:
        return "4 bits are for matrix products"
    weights = constant_of(node.inputs[1])
    if weights is None or weights.ndim != 2 or weights.dtype != np.float32:
        return "its second operand is no constant float32 matrix"
    if constant_of(node.inputs[0]) is not None or node.attributes.get_int("transA", 0) == 1:
        return "its first operand is constant or transposed"
    return "" if weights.size >= LEAST_WEIGHTS else f"they are fewer than {LEAST_WEIGHTS}"


def _float_weights(node: ir.Node) -> int:
    arrays = [constant_of(value) for value in node.inputs]
    return sum(array.size for array in arrays if array is not None and array.dtype.kind == "f")
