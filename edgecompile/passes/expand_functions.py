"""Replace operators that ONNX defines by simpler operators, and that nobody lowers as they are.

before                              after
    y = Softsign(x)                     a = Abs(x); b = Add(1, a); y = Div(x, b)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import onnx
import onnx_ir as ir
from onnx import defs

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.infer import type_message
from edgecompile.passes.inlining import bind_call, inline_bound_calls
from edgecompile.passes.upgrade_opset import upgrade_nodes

Schema = Any  # onnx.defs.OpSchema; its type stub lacks the functions
# Their bodies are loops over scalars or sequences: no step towards something that can be lowered.
_NEVER = frozenset(("Range", "SequenceMap"))
# Where operators with bodies come from: ONNX itself, and what it may adopt (whose only version is 1).
_DOMAINS = ("", "ai.onnx.preview")
_PREVIEW_VERSION = 1
# Bodies use operators that have bodies themselves; no chain in ONNX is longer.
_MAX_ROUNDS = 8


class ExpandFunctions:
    """Expands operators of ONNX's domain that are not in `keep`, pairs of (domain, operator).

    The bodies are the operator schemas' own, those that depend on the types of the inputs included.
    """

    name = "expand_functions"
    tolerance = 1e-5

    def __init__(self, keep: Collection[tuple[str, str]]) -> None:
        self._keep = frozenset(keep)

    def __call__(self, model: Model) -> PassResult:
        modified = False
        for _ in range(_MAX_ROUNDS):
            if not self._expand_all(model):
                break
            FoldConstants()(model)
            modified = True
        return PassResult(model, modified)

    def _stays(self, node: ir.Node) -> bool:
        return node.op_type in _NEVER or (node.domain, node.op_type) in self._keep

    def _expand_all(self, model: Model) -> bool:
        graph = model.graph
        opset = graph.opset_imports.get("", model.provenance.opset)
        found = False
        for node in list(graph.graph.all_nodes()):
            body = None
            if node.domain in _DOMAINS and not self._stays(node):
                body = function_body(node, opset)
            if body is not None:
                bind_call(graph, node, body)
                found = True
        if found:
            inline_bound_calls(graph)
        return found


def function_body(node: ir.Node, opset: int) -> ir.Function | None:
    """The body that ONNX gives for `node`, in operators of `opset`; None for primitive operators.

    Attributes that the body reads and `node` leaves out are added to `node` with their default.
    """
    own = opset if node.domain == "" else _PREVIEW_VERSION
    if not defs.has(node.op_type, own, node.domain):
        return None
    if node.op_type == "AffineGrid" and (static_shape(node.inputs[0]) or (1,))[0] == 1:
        return None  # the body squeezes all axes of size 1, a batch of 1 among them
    schema: Schema = defs.get_schema(node.op_type, own, node.domain)
    data = _plain_body(schema, own) or _dependent_body(schema, node, own)
    if data is None:
        return None
    version, encoded = data
    if node.domain:
        version = opset  # the body of a preview operator does not say which opset it is written in
    message = onnx.FunctionProto.FromString(encoded)
    _drop_missing_outputs(message)
    if not message.node or len(message.output) < sum(bool(value.name) for value in node.outputs):
        return None
    for name in message.attribute:
        default = schema.attributes[name].default_value if name in schema.attributes else None
        if name not in node.attributes and default is not None and default.name:
            node.attributes.add(ir.serde.deserialize_attribute(default))
    _drop_graph_parameters(message, node)
    function = ir.serde.deserialize_function(message)
    function.opset_imports[""] = opset
    if any(True for _ in upgrade_nodes(function, version, opset)):
        return None
    return function


def _drop_missing_outputs(message: onnx.FunctionProto) -> None:
    """A body made for one call may leave out trailing outputs that the call does not ask for."""
    produced = {name for child in message.node for name in child.output} | set(message.input)
    while message.output and message.output[-1] not in produced:
        del message.output[-1]


def _drop_graph_parameters(message: onnx.FunctionProto, node: ir.Node) -> None:
    """A body made for one call already contains the graphs that the call gives as attributes."""
    for name in [name for name, given in node.attributes.items() if given.type == ir.AttributeType.GRAPH]:
        del node.attributes[name]
        if name in message.attribute:
            message.attribute.remove(name)


def _plain_body(schema: Schema, opset: int) -> tuple[int, bytes] | None:
    versions = [version for version in schema.function_opset_versions if version <= opset]
    if not versions:
        return None
    return max(versions), schema.get_function_with_opset_version(max(versions))


def _dependent_body(schema: Schema, node: ir.Node, opset: int) -> tuple[int, bytes] | None:
    """The body for the types of this node's inputs, which must be known."""
    versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
    if not versions or any(value is not None and value.type is None for value in node.inputs):
        return None
    types = [
        (type_message(value) if value is not None else onnx.TypeProto()).SerializeToString()
        for value in node.inputs
    ]
    encoded = ir.to_proto(node).SerializeToString()
    body = schema.get_context_dependent_function_with_opset_version(max(versions), encoded, types)
    return (max(versions), body) if body else None
