"""Numbers in a graph that say how long an axis is, after parts of it were cut.

Target shapes, split sizes, slices, indices, pads and counts of groups are written anew from the units that
stay; all else follows from the shapes of operands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import add_initializer, constant_of
from edgecompile.passes.prune.assign import set_constant
from edgecompile.passes.prune.operators.movement import pads_of
from edgecompile.passes.prune.rewrite_indices import Cut, rewrite_gather, rewrite_slice
from edgecompile.passes.prune.trace import shape_of
from edgecompile.passes.rewriting import graph_of

# What is cut of each value of which something is.
Cuts = Mapping[str, Cut]
_Rewrite = Callable[[ir.Node, Cuts], None]


def rewrite_node(node: ir.Node, cuts: Cuts) -> None:
    """Adapt `node` to operands and results of which `cuts` says what stays."""
    if not node.domain and node.op_type in _REWRITES:
        _REWRITES[node.op_type](node, cuts)


def _cut_of(value: ir.Value | None, cuts: Cuts) -> Cut | None:
    return cuts.get(str(value.name)) if value is not None else None


def _shape_left(value: ir.Value, cuts: Cuts) -> list[int]:
    """The shape of a result, known before the cut, after it."""
    cut = cuts.get(str(value.name))
    shape = list(shape_of(value))
    if cut is not None:
        shape[cut[0]] = int(cut[1].sum())
    return shape


def _target_shape(node: ir.Node, cuts: Cuts) -> None:
    if _cut_of(node.outputs[0], cuts) is not None:
        set_constant(node, 1, np.array(_shape_left(node.outputs[0], cuts), np.int64))


def _split(node: ir.Node, cuts: Cuts) -> None:
    axis = node.attributes.get_int("axis", 0) % len(shape_of(node.outputs[0]))
    if not any((cut := _cut_of(value, cuts)) is not None and cut[0] == axis for value in node.outputs):
        return
    sizes = np.array([_shape_left(value, cuts)[axis] for value in node.outputs], np.int64)
    node.attributes.pop("num_outputs", None)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        set_constant(node, 1, sizes)
    else:
        node.resize_inputs(2)
        node.replace_input_with(1, add_initializer(graph_of(node), f"{node.name}/split", sizes))


def _pad(node: ir.Node, cuts: Cuts) -> None:
    cut = _cut_of(node.outputs[0], cuts)
    if cut is None:
        return
    axis, stays = cut
    pads = pads_of(node)
    rank = len(pads) // 2
    begin, end = pads[axis], pads[axis + rank]
    if begin or end:
        pads[axis], pads[axis + rank] = int(stays[:begin].sum()), int(stays[len(stays) - end :].sum())
        set_constant(node, 1, np.array(pads, np.int64))
        if len(node.inputs) > 3:
            node.resize_inputs(3)


def _resize(node: ir.Node, cuts: Cuts) -> None:
    sizes = constant_of(node.inputs[3]) if len(node.inputs) > 3 else None
    cut = _cut_of(node.outputs[0], cuts)
    if cut is None or sizes is None:
        return
    rank = len(shape_of(node.outputs[0]))
    axes = [axis % rank for axis in node.attributes.get_ints("axes") or range(rank)]
    if cut[0] in axes:
        left = _shape_left(node.outputs[0], cuts)
        set_constant(node, 3, np.array([left[axis] for axis in axes], np.int64))


def _convolution(node: ir.Node, cuts: Cuts) -> None:
    """Whole groups are cut where there are more groups than channels in each."""
    cut, groups = _cut_of(node.inputs[0], cuts), node.attributes.get_int("group", 1)
    if cut is not None and groups > len(cut[1]) // groups:
        _set_share(node, "group", cut)


def _group_normalization(node: ir.Node, cuts: Cuts) -> None:
    if node.attributes["num_groups"].as_int() > 1:
        _set_share(node, "num_groups", _cut_of(node.inputs[0], cuts))


def _set_share(node: ir.Node, name: str, cut: Cut | None) -> None:
    """Make the count in the attribute `name` as much smaller as what is `cut`."""
    if cut is not None:
        count = node.attributes[name].as_int() * int(cut[1].sum()) // len(cut[1])
        node.attributes[name] = ir.AttrInt64(name, count)


def _root_mean_square(node: ir.Node, cuts: Cuts) -> None:
    """The mean was over n numbers; over the m that are left, when the others were 0, it is n / m as large."""
    cut, scale = _cut_of(node.inputs[0], cuts), constant_of(node.inputs[1])
    if cut is None or scale is None or cut[0] != len(shape_of(node.inputs[0])) - 1:
        return
    factor = len(cut[1]) / int(cut[1].sum())
    set_constant(node, 1, (scale * np.sqrt(factor)).astype(scale.dtype))
    epsilon = node.attributes.get_float("epsilon", 1e-5) * factor
    node.attributes["epsilon"] = ir.AttrFloat32("epsilon", epsilon)


def _attention(node: ir.Node, cuts: Cuts) -> None:
    """Counts of heads are attributes of 3-D operands; the default scale comes from the old size."""
    rank = len(shape_of(node.inputs[0]))
    cut = _cut_of(node.inputs[0], cuts)
    if cut is None:
        return
    axis, stays = cut
    if rank == 3 and node.attributes["q_num_heads"].as_int() > 1:
        for index, name in enumerate(("q_num_heads", "kv_num_heads")):
            _set_share(node, name, _cut_of(node.inputs[index], cuts))
    elif axis == rank - 1 and "scale" not in node.attributes:
        node.attributes["scale"] = ir.AttrFloat32("scale", len(stays) ** -0.5)


def _recurrent(node: ir.Node, cuts: Cuts) -> None:
    cut = next((cut for value in node.outputs if (cut := _cut_of(value, cuts)) is not None), None)
    if cut is not None:
        node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", int(cut[1].sum()))


_REWRITES: dict[str, _Rewrite] = {
    "Reshape": _target_shape,
    "Expand": _target_shape,
    "Split": _split,
    "Slice": lambda node, cuts: rewrite_slice(node, _cut_of(node.inputs[0], cuts)),
    "Gather": lambda node, cuts: rewrite_gather(node, _cut_of(node.inputs[0], cuts)),
    "Pad": _pad,
    "Resize": _resize,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "GroupNormalization": _group_normalization,
    "RMSNormalization": _root_mean_square,
    "Attention": _attention,
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _recurrent),
}
