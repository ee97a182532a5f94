"""Small edits of a graph that several passes need, each keeping names and the graph's borders intact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx_ir as ir

Array = np.ndarray[Any, Any]
RANDOM_OPERATORS = frozenset(
    ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial")
)


def constant_of(value: ir.Value | None) -> Array | None:
    """The compile-time value of `value`; None when it is absent or computed at run time."""
    if value is None or value.const_value is None or value.is_graph_input():
        return None
    return value.const_value.numpy()


def static_shape(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of `value` in elements when every dimension is a number, else None."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return tuple(int(dim) for dim in value.shape)  # type: ignore[arg-type]


def nbytes_of(value: ir.Value) -> int | None:
    """Bytes that `value` takes, None when its shape or dtype is not known."""
    shape = static_shape(value)
    if shape is None or value.dtype is None or value.dtype == ir.DataType.STRING:
        return None
    return math.ceil(math.prod(shape) * value.dtype.bitwidth / 8)


def add_initializer(graph: ir.Graph, name: str, array: Array, like: ir.Value | None = None) -> ir.Value:
    """Add a constant named `name` (made unique) to `graph`, with the element type of `like` if given."""
    dtype = like.dtype if like is not None else None
    tensor = ir.tensor(np.ascontiguousarray(array).reshape(array.shape), dtype=dtype, name=name)
    unique = name
    index = 1
    while unique in graph.initializers:
        index += 1
        unique = f"{name}_{index}"
    value = ir.Value(name=unique, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype))
    value.const_value = tensor
    graph.register_initializer(value)
    return value


def replace_value(old: ir.Value, new: ir.Value, anchor: ir.Node | None = None) -> None:
    """Make every reader of `old` read `new`; the node that computes `new` from `old` may go on reading it.

    A graph output keeps its name and is computed by a node afterwards: `new` takes over the name where it
    can, otherwise an Identity node is added behind `anchor` (default: the producer of `old`).
    """
    producer = old.producer()
    assert producer is not None
    graph = producer.graph
    assert graph is not None
    for user, index in tuple(old.uses()):
        if user is not new.producer():
            user.replace_input_with(index, new)
    if not old.is_graph_output():
        return
    name = old.name
    position = list(graph.outputs).index(old)
    source = new.producer()
    if source is None or source.graph is not graph or new.is_graph_output():
        identity = ir.node("Identity", [new], name=f"{producer.name}/output", num_outputs=1)
        identity.outputs[0].shape, identity.outputs[0].type = new.shape, new.type
        graph.insert_after(anchor or producer, identity)
        new = identity.outputs[0]
    old.name = f"{name}/replaced"
    new.name = name
    graph.outputs[position] = new


def remove_node(node: ir.Node) -> None:
    """Take `node`, whose results nobody reads, out of its graph."""
    assert node.graph is not None
    node.graph.remove(node, safe=True)


def default_opset(graph: ir.Graph | ir.Function, fallback: int) -> int:
    """The version of ONNX's own operators that `graph` imports."""
    return graph.opset_imports.get("", fallback)
