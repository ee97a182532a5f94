"""If, Loop and Scan: inlining of a known branch, and the types inside and behind their bodies."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgecompile.passes.edit import constant_of, remove_node, replace_value, static_shape

# Walks a body whose inputs have types, and gives types to everything in it.
Walk = Callable[[ir.Graph], bool]


def inline_known_branch(node: ir.Node) -> bool:
    """Replace an If whose condition is constant by the nodes of its branch, put behind it in its graph."""
    condition = constant_of(node.inputs[0]) if node.op_type == "If" else None
    if condition is None:
        return False
    graph = node.graph
    assert graph is not None
    branch = node.attributes["then_branch" if condition.any() else "else_branch"].as_graph()
    moved, results = list(branch), list(branch.outputs)
    branch.outputs.clear()
    for value in list(branch.initializers.values()):
        del branch.initializers[value.name or ""]
        value.name = f"{node.name}/{value.name}"
        graph.register_initializer(value)
    branch.remove(moved)
    for child in moved:
        child.name = f"{node.name}/{child.name}"
        for value in child.outputs:
            value.name = f"{node.name}/{value.name}" if value.name else value.name
    graph.insert_after(node, moved)
    for old, new in zip(node.outputs, results, strict=True):
        replace_value(old, new, moved[-1] if moved else node)
    remove_node(node)
    return True


def is_control_flow(node: ir.Node) -> bool:
    """Whether `node` is an If, Loop or Scan of ONNX."""
    return node.domain == "" and node.op_type in _HANDLERS


def type_control_flow(node: ir.Node, walk: Walk) -> bool:
    """Walk the bodies of `node`, set the types of its outputs, and say whether a body changed."""
    return _HANDLERS[node.op_type](node, walk)


def static_trip_count(node: ir.Node) -> int | None:
    """How often the body of a Loop runs, when that is known and no condition can end it early."""
    count = constant_of(node.inputs[0])
    start = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if count is None or (node.inputs[1] is not None and start is None):
        return None
    if start is not None and not start.all():
        return 0
    body = node.attributes["body"].as_graph()
    again, condition = body.outputs[0], body.inputs[1]
    producer = again.producer()
    while producer is not None and producer.op_type == "Identity" and producer.inputs[0] is not None:
        again = producer.inputs[0]
        producer = again.producer()
    known = constant_of(again)
    forever = again is condition or (known is not None and bool(known.all()))
    return max(0, int(count)) if forever else None


def _copy_type(source: ir.Value | None, target: ir.Value) -> None:
    if source is not None:
        target.shape = ir.Shape(source.shape) if source.shape is not None else None
        target.type = source.type


def _same_type(left: ir.Value, right: ir.Value) -> bool:
    known = static_shape(left)
    return known is not None and known == static_shape(right) and left.dtype == right.dtype


def _stacked(value: ir.Value, count: int | None, axis: int, target: ir.Value) -> None:
    """`target` is `count` slices of the type of `value` along a new `axis`."""
    shape = static_shape(value)
    target.type, target.shape = value.type, None
    if shape is not None and count is not None:
        position = axis if axis >= 0 else len(shape) + 1 + axis
        target.shape = ir.Shape([*shape[:position], count, *shape[position:]])


def _type_if(node: ir.Node, walk: Walk) -> bool:
    branches = [node.attributes[name].as_graph() for name in ("then_branch", "else_branch")]
    changed = [walk(branch) for branch in branches]
    for position, output in enumerate(node.outputs):
        left, right = (branch.outputs[position] for branch in branches)
        _copy_type(left, output)
        if not _same_type(left, right):
            output.shape = None
    return any(changed)


def _type_loop(node: ir.Node, walk: Walk) -> bool:
    body = node.attributes["body"].as_graph()
    for value, dtype in zip(body.inputs[:2], (ir.DataType.INT64, ir.DataType.BOOL), strict=True):
        value.shape, value.type = ir.Shape([]), ir.TensorType(dtype)
    carried = list(node.inputs[2:])
    for outer, inner in zip(carried, body.inputs[2:], strict=True):
        _copy_type(outer, inner)
    changed = walk(body)
    count = static_trip_count(node)
    results = list(body.outputs[1:])
    for position, (result, output) in enumerate(zip(results, node.outputs, strict=True)):
        if position >= len(carried):
            _stacked(result, count, 0, output)
            continue
        _copy_type(result, output)
        if not _same_type(result, body.inputs[2 + position]):
            output.shape = None
    return changed


def _type_scan(node: ir.Node, walk: Walk) -> bool:
    body = node.attributes["body"].as_graph()
    scans = node.attributes["num_scan_inputs"].as_int()
    states = len(node.inputs) - scans
    if len(node.inputs) != len(body.inputs):
        return False  # opset 8 has one more input; the upgrade refuses it
    in_axes = node.attributes.get_ints("scan_input_axes", [0] * scans)
    count: int | None = None
    for position, (outer, inner) in enumerate(zip(node.inputs, body.inputs, strict=True)):
        _copy_type(outer, inner)
        shape = static_shape(outer)
        if position >= states and shape:
            axis = in_axes[position - states] % len(shape)
            count = shape[axis]
            inner.shape = ir.Shape([*shape[:axis], *shape[axis + 1 :]])
    changed = walk(body)
    out_axes = node.attributes.get_ints("scan_output_axes", [0] * (len(node.outputs) - states))
    for position, (result, output) in enumerate(zip(body.outputs, node.outputs, strict=True)):
        if position >= states:
            _stacked(result, count, out_axes[position - states], output)
            continue
        _copy_type(result, output)
        if not _same_type(result, body.inputs[position]):
            output.shape = None
    return changed


_HANDLERS: dict[str, Callable[[ir.Node, Walk], bool]] = {
    "If": _type_if,
    "Loop": _type_loop,
    "Scan": _type_scan,
}
