"""The value of a node whose inputs are known, computed by onnx's reference implementation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from edgecompile.passes.edit import Array, constant_of, static_shape

_IR_VERSION = 13
_MAX_ELEMENTS = 1 << 48  # numpy cannot even describe more
# Inputs of which only the shape (or the element type) matters.
_SHAPE_ONLY: dict[str, tuple[int, ...]] = {"Shape": (0,), "Size": (0,), "EyeLike": (0,), "CastLike": (1,)}


def known_inputs(node: ir.Node) -> list[Array | None] | None:
    """The inputs of `node` as arrays (None where left out), or None when one is only known at run time."""
    arrays: list[Array | None] = []
    shape_only = _SHAPE_ONLY.get(node.op_type, ()) if node.domain == "" else ()
    for position, value in enumerate(node.inputs):
        array = constant_of(value)
        if array is None and value is not None:
            shape = static_shape(value)
            if position not in shape_only or shape is None or value.dtype is None:
                return None
            if math.prod(shape) > _MAX_ELEMENTS:
                return None
            array = np.broadcast_to(np.zeros((), value.dtype.numpy()), shape)
        scalar = array is not None and node.op_type == "Range" and array.size == 1
        arrays.append(array.reshape(()) if array is not None and scalar else array)
    return arrays


def evaluate(node: ir.Node, arrays: list[Array | None], opsets: Mapping[str, int]) -> list[Array] | None:
    """The outputs of `node` for `arrays`, one an output; None when the reference cannot compute them.

    A result whose shape or element type contradicts what is known of the output counts as "cannot".
    """
    if node.domain == "" and node.op_type in ("Shape", "Size"):
        return [_shape_or_size(node, arrays)]
    names = [f"in{position}" if array is not None else "" for position, array in enumerate(arrays)]
    message = ir.to_proto(node)
    del message.input[:]
    message.input.extend(names)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            session = ReferenceEvaluator(_one_node_model(message, node, opsets))
            feeds = {name: array for name, array in zip(names, arrays, strict=True) if name}
            results = session.run(None, feeds)
    except MemoryError:
        raise
    except Exception:  # an operator or type that the reference does not cover: leave the node as it is
        return None
    wanted = [value for value in node.outputs if value.name]
    outputs = [np.asarray(result) for result in results]
    fits = all(_fits(array, value) for array, value in zip(outputs, wanted, strict=True))
    return outputs if fits else None


def _shape_or_size(node: ir.Node, arrays: list[Array | None]) -> Array:
    assert arrays[0] is not None
    if node.op_type == "Size":
        return np.array(arrays[0].size, np.int64)
    start, end = node.attributes.get_int("start", 0), node.attributes.get("end")
    return np.array(arrays[0].shape[slice(start, end.as_int() if end else None)], np.int64)


def _one_node_model(message: onnx.NodeProto, node: ir.Node, opsets: Mapping[str, int]) -> onnx.ModelProto:
    inputs = [
        onnx.helper.make_tensor_value_info(name, value.dtype.value if value.dtype else 0, None)
        for name, value in zip(message.input, node.inputs, strict=True)
        if name and value is not None
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in message.output if name]
    graph = onnx.helper.make_graph([message], "node", inputs, outputs)
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)


def _fits(array: Array, value: ir.Value) -> bool:
    if array.dtype.kind in "OSU":
        return False
    shape = static_shape(value)
    type_fits = value.dtype is None or value.dtype.numpy() == array.dtype
    return type_fits and (shape is None or shape == array.shape)
