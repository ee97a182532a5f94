"""The types of one node's outputs, from the types and constant values of its inputs.

onnx's own inference does the work, one node at a time, so that it sees every constant that folding has
found. Where it is silent or wrong, the rules at the end of this file speak; each follows the operator's text
in the ONNX specification.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx import defs, shape_inference

from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import constant_of, static_shape

_IR_VERSION = 13
# Larger constants are weights; no output shape depends on them.
_MAX_DATA_BYTES = 1 << 14


def infer_node(node: ir.Node, opsets: Mapping[str, int]) -> None:
    """Set shape and type of the outputs of `node` in place, as far as they follow from its inputs.

    Nodes without a schema (functions of the model) keep what they have. Raises InputError (EC3201) when the
    inputs do not fit the operator.
    """
    version = opsets.get(node.domain)
    if version is None or not defs.has(node.op_type, version, node.domain):
        return
    schema = defs.get_schema(node.op_type, version, node.domain)
    message = _rename_inputs(node)
    types, data = _describe_inputs(node)
    imports = [onnx.helper.make_opsetid(domain, number) for domain, number in opsets.items()]
    try:
        inferred = shape_inference.infer_node_outputs(schema, message, types, data, {}, imports, _IR_VERSION)
    except (shape_inference.InferenceError, onnx.checker.ValidationError, ValueError, KeyError) as error:
        raise _does_not_fit(node, str(error).strip().splitlines()[0]) from None
    for value in node.outputs:
        if value.name in inferred:
            value.shape = ir.serde.deserialize_type_proto_for_shape(inferred[value.name])
            kind = ir.serde.deserialize_type_proto_for_type(inferred[value.name])
            value.type = kind if value.type is None or not _undefined(kind) else value.type
            if min(static_shape(value) or (0,)) < 0:
                raise _does_not_fit(node, f"the shape of '{value.name}' would be {static_shape(value)}")
    if node.domain == "" and node.op_type in _RULES:
        _apply_rule(node)


def _does_not_fit(node: ir.Node, why: str) -> InputError:
    what, fix = f"{node.op_type} does not fit its inputs", "check the exported model"
    return InputError(Problem("EC3201", what, node.name or "", why, fix))


def _undefined(kind: ir.TypeProtocol | None) -> bool:
    return kind is None or kind.dtype == ir.DataType.UNDEFINED


def _rename_inputs(node: ir.Node) -> onnx.NodeProto:
    """The node as a message, inputs named by position: a value read twice must not share its constant."""
    message = ir.to_proto(node)
    for position, value in enumerate(node.inputs):
        message.input[position] = f"in{position}" if value is not None else ""
    return message


def _describe_inputs(node: ir.Node) -> tuple[dict[str, onnx.TypeProto], dict[str, onnx.TensorProto]]:
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for position, value in enumerate(node.inputs):
        if value is None or value.type is None:
            continue
        name = f"in{position}"
        types[name] = type_message(value)
        tensor = value.const_value
        if tensor is not None and not value.is_graph_input() and tensor.nbytes <= _MAX_DATA_BYTES:
            data[name] = ir.to_proto(tensor)
        if node.op_type == "Range":  # one-element vectors pass for scalars, in ONNX's own AffineGrid too
            del types[name].tensor_type.shape.dim[:]
            if name in data:
                del data[name].dims[:]
    return types, data


def type_message(value: ir.Value) -> onnx.TypeProto:
    """The ONNX type of `value`, its shape included where it is known."""
    return ir.to_proto(value).type


def _apply_rule(node: ir.Node) -> None:
    known = [value is None or static_shape(value) is not None for value in node.inputs]
    if not all(known):
        return
    shape = _RULES[node.op_type](node)
    if shape is not None:
        node.outputs[0].shape = ir.Shape(shape)
        if node.outputs[0].type is None and node.inputs[0] is not None:
            node.outputs[0].type = node.inputs[0].type


Rule = Callable[[ir.Node], "tuple[int, ...] | None"]


def _input_shape(node: ir.Node, index: int = 0) -> tuple[int, ...]:
    shape = static_shape(node.inputs[index])
    assert shape is not None
    return shape


def _constant_input(node: ir.Node, index: int) -> list[int] | None:
    array = constant_of(node.inputs[index]) if index < len(node.inputs) else None
    return None if array is None else [int(entry) for entry in np.ravel(array)]


def _one_hot(node: ir.Node) -> tuple[int, ...] | None:
    """The shape of `indices` with `depth` inserted at `axis`."""
    depth = _constant_input(node, 1)
    if depth is None:
        return None
    shape = list(_input_shape(node))
    axis = node.attributes.get_int("axis", -1)
    shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, depth[0])
    return tuple(shape)


def _max_unpool(node: ir.Node) -> tuple[int, ...] | None:
    """The third input is the output's shape; without it, onnx computes the shape from the kernel."""
    given = _constant_input(node, 2)
    return tuple(given) if given is not None else static_shape(node.outputs[0])


def _stft(node: ir.Node) -> tuple[int, ...] | None:
    """(batch, frames, bins, 2): `onesided`, which is the default, keeps frame_length // 2 + 1 bins."""
    step = _constant_input(node, 1)
    length = _constant_input(node, 3)
    if length is None and len(node.inputs) > 2 and node.inputs[2] is not None:
        length = list(_input_shape(node, 2))
    if step is None or length is None:
        return None
    batch, samples = _input_shape(node)[:2]
    onesided = node.attributes.get_int("onesided", 1)
    bins = length[0] // 2 + 1 if onesided else length[0]
    return batch, (samples - length[0]) // step[0] + 1, bins, 2


def _window(node: ir.Node) -> tuple[int, ...] | None:
    size = _constant_input(node, 0)
    return tuple(size) if size is not None else None


def _mel_weight_matrix(node: ir.Node) -> tuple[int, ...] | None:
    """(dft_length // 2 + 1, num_mel_bins)"""
    bins, length = _constant_input(node, 0), _constant_input(node, 1)
    return (length[0] // 2 + 1, bins[0]) if bins is not None and length is not None else None


def _compress(node: ir.Node) -> tuple[int, ...] | None:
    """As many slices along `axis` (of the flattened input without it) as the condition has trues."""
    condition = _constant_input(node, 1)
    if condition is None:
        return None
    shape = list(_input_shape(node))
    if "axis" not in node.attributes:
        return (sum(map(bool, condition)),)
    axis = node.attributes["axis"].as_int() % len(shape)
    shape[axis] = sum(map(bool, condition[: shape[axis]]))
    return tuple(shape)


def _attention(node: ir.Node) -> tuple[int, ...] | None:
    """Y follows from onnx; present_key, present_value and qk_matmul_output are (batch, heads, …, …)."""
    query, key, value = (_input_shape(node, index) for index in range(3))
    if len(query) == 3:
        heads = node.attributes["q_num_heads"].as_int()
        kv_heads = node.attributes["kv_num_heads"].as_int()
        query = (query[0], heads, query[1], query[2] // heads)
        key, value = ((s[0], kv_heads, s[1], s[2] // kv_heads) for s in (key, value))
    has_past = len(node.inputs) > 4 and node.inputs[4] is not None
    total = key[2] + (_input_shape(node, 4)[2] if has_past else 0)
    shapes = (
        (*key[:2], total, key[3]),
        (*value[:2], total, value[3]),
        (*query[:3], total),
    )
    for output, shape in zip(node.outputs[1:], shapes, strict=False):
        output.shape = ir.Shape(shape)
        output.type = output.type or node.outputs[0].type
    return static_shape(node.outputs[0])


_RULES: dict[str, Rule] = {
    "Attention": _attention,
    "BlackmanWindow": _window,
    "Compress": _compress,
    "GroupNormalization": _input_shape,
    "HammingWindow": _window,
    "HannWindow": _window,
    "MelWeightMatrix": _mel_weight_matrix,
    "MeanVarianceNormalization": _input_shape,
    "OneHot": _one_hot,
    "MaxUnpool": _max_unpool,
    "STFT": _stft,
}
