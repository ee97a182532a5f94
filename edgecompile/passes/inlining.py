"""Put the body of a function in the place of a call, with names that tell where it came from."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common

_DOMAIN = "edgecompile.inlined"


def bind_call(model: ir.Model, node: ir.Node, function: ir.Function) -> None:
    """Give the call `node` its own copy of `function`, every name in it prefixed with the call's name.

    Nested calls of model functions get copies too. `inline_bound_calls` then expands them all.
    """
    copy = function.clone()
    copy.domain, copy.overload = _DOMAIN, node.name or ""
    node.domain, node.overload = _DOMAIN, copy.overload
    node.op_type = copy.name
    for position, child in enumerate(copy.all_nodes()):
        child.name = f"{node.name}/{child.name or f'{child.op_type}_{position}'}"
        for value in child.outputs:
            value.name = f"{node.name}/{value.name}" if value.name else value.name
    model.functions[copy.identifier()] = copy
    for child in copy.all_nodes():
        nested = model.functions.get(child.op_identifier())
        if nested is not None:
            bind_call(model, child, nested)


def inline_bound_calls(model: ir.Model) -> None:
    """Expand every call prepared by `bind_call`."""
    output_names = [value.name for value in model.graph.outputs]
    common.InlinePass(criteria=lambda function: function.domain == _DOMAIN)(model)
    for value, name in zip(model.graph.outputs, output_names, strict=True):
        value.name = name
