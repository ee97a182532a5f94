"""Compute at compile time what does not depend on the network's inputs, and give every tensor its type.

before                                           after
    x: f32[1,64,7,7]                                 x: f32[1,64,7,7]
    s = Shape(x); n = Gather(s, 0)                   y: f32[1,3136] = Reshape(x, [1, 3136])
    y = Reshape(x, Concat(Unsqueeze(n), [-1]))

One walk in topological order: infer the node's output types from input types and constants, then replace the
node by constants if its inputs are known. Types and constants feed each other, so exporters' arithmetic on
shapes disappears however deep it is. If with a known condition is replaced by its branch.
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.control_flow import inline_known_branch, is_control_flow, type_control_flow
from edgecompile.passes.edit import (
    RANDOM_OPERATORS,
    Array,
    add_initializer,
    default_opset,
    nbytes_of,
    remove_node,
    replace_value,
)
from edgecompile.passes.evaluate import evaluate, known_inputs
from edgecompile.passes.halves import widens_weights
from edgecompile.passes.infer import infer_node

# Their results are random, or would undo the compact storage of quantized weights.
_NEVER = RANDOM_OPERATORS | {"DequantizeLinear"}
# The output's size depends on the data, but is bounded by the input's.
_BOUNDED = frozenset(("NonZero", "Unique", "Compress", "NonMaxSuppression"))


class FoldConstants:
    """A folded result may have `max_bytes`, and `max_growth` times the bytes of its inputs unless small.

    Without the second bound a mask made by Expand would go to flash instead of being computed. Weights in
    float16 under a Cast to float32 stay what they are, unless `keep_halves` is False.
    """

    name = "fold_constants"
    tolerance = 1e-5

    def __init__(
        self,
        max_bytes: int = 64 << 20,
        max_growth: int = 16,
        small_bytes: int = 64 << 10,
        keep_halves: bool = True,
    ) -> None:
        self._keep_halves = keep_halves
        self._max_bytes = max_bytes
        self._max_growth = max_growth
        self._small_bytes = small_bytes

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        opsets = dict(graph.opset_imports)
        opsets.setdefault("", default_opset(graph, model.provenance.opset))
        return PassResult(model, self._walk(graph, opsets))

    def _walk(self, graph: ir.Graph, opsets: dict[str, int]) -> bool:
        modified = False
        for node in graph:
            if node.domain == "" and inline_known_branch(node):
                modified = True
                continue
            if is_control_flow(node):
                modified |= type_control_flow(node, lambda body: self._walk(body, opsets))
                continue
            constants = self._constant_attribute(node)
            if constants is None:
                infer_node(node, opsets)
                constants = self._evaluate(node, opsets)
            if constants is not None:
                _replace_by_constants(graph, node, constants)
                modified = True
        return modified

    @staticmethod
    def _constant_attribute(node: ir.Node) -> list[Array] | None:
        """The value of a Constant node, whatever attribute holds it; None for other nodes and strings."""
        if node.op_type != "Constant" or node.domain != "" or len(node.attributes) != 1:
            return None
        tensor = ir.convenience.get_const_tensor(node.outputs[0])
        if tensor is None or tensor.dtype == ir.DataType.STRING:
            return None
        return [tensor.numpy()]

    def _evaluate(self, node: ir.Node, opsets: dict[str, int]) -> list[Array] | None:
        if node.domain != "" or node.op_type in _NEVER or _names_an_output(node):
            return None
        if self._keep_halves and widens_weights(node):
            return None
        arrays = known_inputs(node)
        if arrays is None or not self._is_worth_storing(node, arrays):
            return None
        return evaluate(node, arrays, opsets)

    def _is_worth_storing(self, node: ir.Node, arrays: list[Array | None]) -> bool:
        sizes = [nbytes_of(value) for value in node.outputs if value.name]
        if any(size is None for size in sizes):
            return node.op_type in _BOUNDED
        total = sum(size for size in sizes if size is not None)
        source = sum(array.nbytes for array in arrays if array is not None)
        return total <= self._max_bytes and total <= max(self._small_bytes, self._max_growth * source)


def _names_an_output(node: ir.Node) -> bool:
    """An Identity that only gives a constant the name of a graph output: it must stay."""
    return node.op_type == "Identity" and node.outputs[0].is_graph_output()


def _replace_by_constants(graph: ir.Graph, node: ir.Node, arrays: list[Array]) -> None:
    outputs = [value for value in node.outputs if value.name]
    for value, array in zip(outputs, arrays, strict=True):
        name = value.name or ""
        keeps_name = not value.is_graph_output()
        if keeps_name:
            value.name = f"{name}/replaced"
        constant = add_initializer(graph, name if keeps_name else f"{name}/value", array, value)
        replace_value(value, constant)
    remove_node(node)
