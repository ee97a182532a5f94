"""Compute equal things once: equal constants become one, equal nodes on equal inputs become one.

before                              after
    a = Relu(x); b = Relu(x)            a = Relu(x)
    y = Add(a, b)                       y = Add(a, a)
"""

from __future__ import annotations

import hashlib

import onnx_ir as ir
from onnx_ir.passes import common

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult


class MergeDuplicates:
    """Random operators are never merged; the first of equal nodes or constants gives the name."""

    name = "merge_duplicates"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        merged = [_merge_initializers(graph) for graph in model.graph.graphs()]
        nodes = common.CommonSubexpressionEliminationPass()(model.graph)
        return PassResult(model, any(merged) or nodes.modified)


def _merge_initializers(graph: ir.Graph) -> bool:
    """Make one of initializers with the same type, shape and bytes."""
    first: dict[tuple[ir.DataType, tuple[int, ...], bytes], ir.Value] = {}
    modified = False
    for name, value in list(graph.initializers.items()):
        tensor = value.const_value
        if tensor is None or tensor.dtype == ir.DataType.STRING or value.is_graph_input():
            continue
        array = tensor.numpy()
        digest = hashlib.sha256(array.tobytes()).digest()
        kept = first.setdefault((tensor.dtype, array.shape, digest), value)
        if kept is not value and not value.is_graph_output():
            value.replace_all_uses_with(kept)
            del graph.initializers[name]
            modified = True
    return modified
