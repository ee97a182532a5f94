"""Operators that move elements: they are executed on the labels, by onnx's reference implementation.

Elements that padding adds get labels of their own: a padded shortcut is cut with what it is added to.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.labels import shrink, spread
from edgecompile.passes.prune.trace import Trace, shape_of

# How many of the first inputs are data; the others say where it goes. None: all are data.
_DATA = {"Concat": None, "DepthToSpace": 1, "Gather": 1, "Slice": 1, "SpaceToDepth": 1, "Split": 1, "Tile": 1}
_SAME_ORDER = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")
_IR_VERSION = 10


def same_order(trace: Trace, node: ir.Node) -> None:
    """Only the shape changes."""
    trace.set(node.outputs[0], shrink(trace.of(node.inputs[0]).reshape(shape_of(node.outputs[0]))))


def transpose(trace: Trace, node: ir.Node) -> None:
    """Without perm, axes are reversed."""
    trace.set(node.outputs[0], trace.of(node.inputs[0]).transpose(node.attributes.get_ints("perm") or None))


def expand(trace: Trace, node: ir.Node) -> None:
    """Repeats along axes of length 1."""
    trace.set(node.outputs[0], trace.of(node.inputs[0]))


def move(trace: Trace, node: ir.Node) -> None:
    """All whose data are the first inputs and whose other inputs are constants."""
    count = _DATA[node.op_type] or len(node.inputs)
    others = [constant_of(value) for value in node.inputs[count:]]
    if any(
        value is not None and array is None for value, array in zip(node.inputs[count:], others, strict=True)
    ):
        return trace.stop(node)
    labels = [np.asarray(trace.of(value)) for value in node.inputs[:count]]
    for value, result in zip(node.outputs, _execute(trace, node, [*labels, *others]), strict=True):
        trace.set(value, shrink(result))
    if node.op_type == "Concat":
        _continue_units(trace, node)
    return trace.carry(node, *range(count))


def _continue_units(trace: Trace, node: ir.Node) -> None:
    """Where units pass by the axis of a Concat, they go on through all parts, a class token for example."""
    axis = node.attributes.get_int("axis", 0) % len(shape_of(node.outputs[0]))
    computed = [trace.of(value) for value in node.inputs if constant_of(value) is None]
    if any(other != axis for labels in computed for other in trace.labels.varying(labels)):
        trace.labels.tie_along(trace.of(node.outputs[0]), [axis])


def gather(trace: Trace, node: ir.Node) -> None:
    """A lookup in a constant table makes units of the table's columns; constant indices move."""
    table, rank = constant_of(node.inputs[0]), len(shape_of(node.inputs[0]))
    if constant_of(node.inputs[1]) is not None:
        return move(trace, node)
    if table is None or rank != 2 or node.attributes.get_int("axis", 0) != 0:
        return trace.stop(node)
    trace.labels.freeze(trace.of(node.inputs[1]), f"they are indices of '{node.name}'")
    columns = trace.labels.fresh(table.shape[1])
    trace.weigh(node, 0, 1, "producer", columns)
    return trace.set_channels(node, columns, -1)


def pad(trace: Trace, node: ir.Node) -> None:
    """Elements added along the axis of units are units; along others they belong to their neighbours."""
    labels, added = trace.of(node.inputs[0]), pads_of(node)
    constant = node.attributes.get_string("mode", "constant") == "constant"
    varying = trace.labels.varying(labels)
    ends = list(zip(added[: labels.ndim], added[labels.ndim :], strict=True)) if added else []
    if not ends or min(map(min, ends)) < 0 or not (constant or not any(any(ends[axis]) for axis in varying)):
        return trace.stop(node)
    result = np.pad(labels, ends, mode="edge")
    for axis in varying:
        begin, end = ends[axis]
        new = trace.labels.fresh(result.shape[axis])
        inside = np.zeros(len(new), bool)
        inside[begin : len(new) - end] = True
        result = np.where(spread(inside, result.shape, axis), result, spread(new, result.shape, axis))
    return trace.set(node.outputs[0], shrink(result))


def pads_of(node: ir.Node) -> list[int]:
    """What Pad adds before and behind each axis; empty when that is not known."""
    rank, given = len(shape_of(node.inputs[0])), constant_of(node.inputs[1])
    axes = constant_of(node.inputs[3]) if len(node.inputs) > 3 else np.arange(rank)
    if given is None or axes is None:
        return []
    pads = [0] * (2 * rank)
    for place, axis in enumerate(np.ravel(axes).tolist()):
        pads[axis % rank], pads[axis % rank + rank] = int(given[place]), int(given[place + len(given) // 2])
    return pads


def _execute(trace: Trace, node: ir.Node, arrays: Sequence[Array | None]) -> list[Array]:
    message = ir.to_proto(node)
    names = [f"in{place}" if array is not None else "" for place, array in enumerate(arrays)]
    del message.input[:]
    message.input.extend(names)
    feeds = {name: array for name, array in zip(names, arrays, strict=True) if array is not None}
    inputs = [onnx.helper.make_empty_tensor_value_info(name) for name in feeds]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in message.output]
    graph = onnx.helper.make_graph([message], "move", inputs, outputs)
    imports = [onnx.helper.make_opsetid("", trace.opsets[""])]
    model = onnx.helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
    return [np.asarray(result) for result in ReferenceEvaluator(model).run(None, feeds)]


RULES = dict.fromkeys(_DATA, move) | dict.fromkeys(_SAME_ORDER, same_order)
RULES |= {"Transpose": transpose, "Expand": expand, "Gather": gather, "Pad": pad}
