"""How a node written for an older operator version says the same thing in a newer one.

`ADAPTERS` maps (operator, version) to the rewrite that takes a node across the change which came with that
version of ONNX's operator set; source: ONNX Changelog.md. Changes that only widen types, add an optional
input or add an attribute whose default is the old behaviour need no entry.

An adapter changes its node in place. Types of the node's tensors are known when they can be inferred. It
raises `CannotUpgrade` with a reason when the newer version has no way to say it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, replace_value, static_shape

Adapter = Callable[[ir.Node], None]


class CannotUpgrade(Exception):
    """The reason why a node cannot be expressed in a newer operator version."""


def _constant(node: ir.Node, label: str, array: Array) -> ir.Value:
    """A new constant for `node`, as a Constant node before it (functions cannot hold initializers)."""
    return _insert(node, label, ir.node("Constant", [], {"value": ir.tensor(array)}))


def _insert(node: ir.Node, label: str, new: ir.Node) -> ir.Value:
    assert node.graph is not None
    new.name = f"{node.name}/{label}"
    new.outputs[0].name = f"{node.outputs[0].name}/{label}"
    node.graph.insert_before(node, new)
    return new.outputs[0]


def _set_input(node: ir.Node, position: int, value: ir.Value | None) -> None:
    if len(node.inputs) <= position:
        node.resize_inputs(position + 1)
    node.replace_input_with(position, value)


def _take_ints(node: ir.Node, name: str) -> ir.Value | None:
    """Turn attribute `name` into a constant input; a function's parameter stays a parameter."""
    attribute = node.attributes.pop(name, None)
    if attribute is None:
        return None
    if attribute.is_ref():
        parameter = ir.RefAttr("value_ints", attribute.ref_attr_name or "", ir.AttributeType.INTS)
        return _insert(node, name, ir.Node("", "Constant", [], attributes=[parameter], num_outputs=1))
    return _constant(node, name, np.array(attribute.as_ints(), np.int64))


def _ints_to_input(name: str, position: int) -> Adapter:
    """Attribute `name` (integers) became input `position`."""

    def adapt(node: ir.Node) -> None:
        if name in node.attributes:
            _set_input(node, position, _take_ints(node, name))

    return adapt


def _float_like(node: ir.Node, label: str, number: float) -> ir.Value:
    """A scalar constant with the element type of the node's first input."""
    data = node.inputs[0]
    dtype = data.dtype if data is not None else None
    scalar = np.array(number, dtype.numpy() if dtype is not None else np.float32)
    value = _constant(node, label, scalar)
    if dtype is None:
        return _insert(node, f"{label}_cast", ir.node("CastLike", [value, data]))
    return value


def _rank(node: ir.Node) -> int:
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if shape is None:
        raise CannotUpgrade("the rank of its input is not known")
    return len(shape)


def _upsample_to_resize(node: ir.Node) -> None:
    """Upsample-9 is Resize-10 under an older name."""
    node.op_type = "Resize"


def _upsample_scales(node: ir.Node) -> None:
    scales = np.array(node.attributes.pop("scales").as_floats(), np.float32)
    _set_input(node, 1, _constant(node, "scales", scales))


def _resize_10_to_11(node: ir.Node) -> None:
    """Version 10 samples at x_out / scale and rounds down."""
    scales = node.inputs[1]
    node.resize_inputs(3)
    node.replace_input_with(1, None)
    node.replace_input_with(2, scales)
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
    node.attributes.add(ir.AttrString("nearest_mode", "floor"))


def _resize_11_to_13(node: ir.Node) -> None:
    """Empty tensors stood for inputs left out; tf_half_pixel_for_nn, (x + 0.5) / scale, was removed."""
    for position in range(1, min(3, len(node.inputs))):
        shape = static_shape(node.inputs[position])
        if shape is not None and 0 in shape:
            node.replace_input_with(position, None)
    attributes = node.attributes
    if attributes.get_string("coordinate_transformation_mode", "") != "tf_half_pixel_for_nn":
        return
    if attributes.get_string("nearest_mode", "round_prefer_floor") != "floor":
        raise CannotUpgrade("coordinate_transformation_mode=tf_half_pixel_for_nn without nearest_mode=floor")
    # floor((x + 0.5) / s) = round half up((x + 0.5) / s - 0.5)
    attributes.add(ir.AttrString("coordinate_transformation_mode", "half_pixel"))
    attributes.add(ir.AttrString("nearest_mode", "round_prefer_ceil"))


def _slice_1_to_10(node: ir.Node) -> None:
    for position, name in enumerate(("starts", "ends", "axes"), start=1):
        value = _take_ints(node, name)
        if value is not None:
            _set_input(node, position, value)


def _top_k_1_to_10(node: ir.Node) -> None:
    count = node.attributes.pop("k").as_int()
    _set_input(node, 1, _constant(node, "k", np.array([count], np.int64)))


def _clip_6_to_11(node: ir.Node) -> None:
    for position, name in enumerate(("min", "max"), start=1):
        bound = node.attributes.pop(name, None)
        if bound is not None:
            _set_input(node, position, _float_like(node, name, bound.as_float()))


def _pad_2_to_11(node: ir.Node) -> None:
    _set_input(node, 1, _take_ints(node, "pads"))
    value = node.attributes.pop("value", None)
    if value is not None and node.attributes.get_string("mode", "constant") == "constant":
        _set_input(node, 2, _float_like(node, "value", value.as_float()))


def _dropout_to_12(node: ir.Node) -> None:
    """Before 12 Dropout knows inference only; without a training_mode input so does the newer one."""
    node.attributes.pop("ratio", None)


def _batch_normalization_7_to_9(node: ir.Node) -> None:
    spatial = node.attributes.pop("spatial", None)
    if spatial is not None and spatial.as_int() != 1:
        raise CannotUpgrade("spatial=0 (statistics for every element) was removed")


def _batch_normalization_9_to_14(node: ir.Node) -> None:
    if any(value.name for value in node.outputs[1:]):
        raise CannotUpgrade("it has more than one output, which is training mode")


def _softmax_to_13(node: ir.Node) -> None:
    """Before 13 the input was flattened to two dimensions at `axis` (default 1)."""
    rank = _rank(node)
    axis = node.attributes.get_int("axis", 1) % max(rank, 1)
    node.attributes.add(ir.AttrInt64("axis", -1))
    if axis >= rank - 1:
        return
    data, result = node.inputs[0], node.outputs[0]
    shape = _insert(node, "shape", ir.node("Shape", [data]))
    node.replace_input_with(0, _insert(node, "flat", ir.node("Flatten", [data], {"axis": axis})))
    restored = ir.node("Reshape", [result, shape], name=f"{node.name}/restored")
    restored.outputs[0].name = f"{result.name}/restored"
    restored.outputs[0].shape, restored.outputs[0].type = result.shape, result.type
    assert node.graph is not None
    node.graph.insert_after(node, restored)
    replace_value(result, restored.outputs[0])


def _split_to_18(node: ir.Node) -> None:
    if len(node.inputs) < 2 or node.inputs[1] is None:
        node.attributes.add(ir.AttrInt64("num_outputs", len(node.outputs)))


def _grid_sample_16_to_20(node: ir.Node) -> None:
    mode = node.attributes.get_string("mode", "bilinear")
    renamed = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    node.attributes.add(ir.AttrString("mode", renamed))


def _dft_17_to_20(node: ir.Node) -> None:
    axis = node.attributes.pop("axis", None)
    value = _constant(node, "axis", np.array(axis.as_int() if axis is not None else 1, np.int64))
    _set_input(node, 2, value)


def _roi_align_10_to_16(node: ir.Node) -> None:
    node.attributes.add(ir.AttrString("coordinate_transformation_mode", "output_half_pixel"))


def _scatter_to_11(node: ir.Node) -> None:
    node.op_type = "ScatterElements"


def _scan_8_to_9(node: ir.Node) -> None:
    raise CannotUpgrade("Scan of opset 8 has a batch axis that opset 9 removed")


_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")

ADAPTERS: dict[tuple[str, int], Adapter] = {
    ("BatchNormalization", 9): _batch_normalization_7_to_9,
    ("BatchNormalization", 14): _batch_normalization_9_to_14,
    ("Clip", 11): _clip_6_to_11,
    ("DFT", 20): _dft_17_to_20,
    ("Dropout", 12): _dropout_to_12,
    ("GridSample", 20): _grid_sample_16_to_20,
    ("Hardmax", 13): _softmax_to_13,
    ("LogSoftmax", 13): _softmax_to_13,
    ("Pad", 11): _pad_2_to_11,
    ("ReduceSum", 13): _ints_to_input("axes", 1),
    **{(f"Reduce{kind}", 18): _ints_to_input("axes", 1) for kind in _REDUCTIONS},
    ("Resize", 11): _resize_10_to_11,
    ("Resize", 13): _resize_11_to_13,
    ("RoiAlign", 16): _roi_align_10_to_16,
    ("Scan", 9): _scan_8_to_9,
    ("Scatter", 11): _scatter_to_11,
    ("Slice", 10): _slice_1_to_10,
    ("Softmax", 13): _softmax_to_13,
    ("Split", 13): _ints_to_input("split", 1),
    ("Split", 18): _split_to_18,
    ("Squeeze", 13): _ints_to_input("axes", 1),
    ("TopK", 10): _top_k_1_to_10,
    ("Unsqueeze", 13): _ints_to_input("axes", 1),
    ("Upsample", 9): _upsample_scales,
    ("Upsample", 10): _upsample_to_resize,
}
