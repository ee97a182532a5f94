"""Compute transposed convolutions as ordinary ones.

before: x [N,C,H,W] -> ConvTranspose (kernel 2, 2, strides 2, 2) -> Relu -> y [N,O,2H,2W]
after:  x -> Conv [N,4*O,H,W] -> Relu -> Reshape -> Transpose -> Reshape -> y

The channels hold the phases of the result, which are interleaved as DepthToSpace does it; sometimes they come
from several convolutions that a Concat joins, sometimes a border is cut off in the end. passes/
transposed_phases.py decides. Weights of a quantized network are rearranged as the integers that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import Array, add_initializer, constant_of, static_shape
from edgecompile.passes.explicit_padding import pads_of
from edgecompile.passes.matching import produced_by
from edgecompile.passes.movement import Movement, emit
from edgecompile.passes.rewriting import carry, forward, graph_of, insert, rewrite_nodes
from edgecompile.passes.transposed_phases import Axis, Phases, Transposed, Window, plan_phases


class ExpandTransposedConvolution:
    """Replace ConvTranspose with constant weights by Conv."""

    name = "expand_transposed_convolution"
    tolerance = 1e-5  # products are summed in another order

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "transposed convolutions computed as convolutions", _expand)


def _expand(node: ir.Node) -> bool:
    given = _description(node)
    if given is None:
        return False
    weights = _constants(node.inputs[1], axis=1)
    bias = _constants(node.inputs[2] if len(node.inputs) > 2 else None, axis=0)
    phases = plan_phases(given) if weights and bias is not None else None
    if not weights or bias is None or phases is None:
        return False
    if len(weights) == 1 and given.channels == (1, 1):
        return False  # depthwise, for which there is a kernel for real numbers that is faster
    spread = [_rearranged(node, bias, phases, lambda array, _: phases.of_channels(array))] if bias else []
    shape = (given.batch, phases.channels, *(axis.count for axis in phases.axes))
    values = []
    for windows in phases.windows:
        own = _rearranged(node, weights, phases, partial(phases.weights, windows))
        attributes = _attributes(phases, windows)
        values.append(insert(node, "Conv", [node.inputs[0], own, *spread], attributes, shape=shape))
    values, last = carry(node, values)
    joined = values[0]
    if len(values) > 1:
        joined = insert(
            last, "Concat", values, {"axis": 1}, shape=(shape[0], len(values) * shape[1], *shape[2:])
        )
    forward(last, _cropped(last, _interleaved(last, joined, phases), phases.axes))
    return True


def _description(node: ir.Node) -> Transposed | None:
    """A ConvTranspose with static shapes and explicit padding; None for another node."""
    if node.op_type != "ConvTranspose" or node.domain:
        return None
    shape, weights, result = (static_shape(value) for value in (*node.inputs[:2], node.outputs[0]))
    if shape is None or weights is None or result is None or 0 in (*shape, *weights, *result):
        return None
    attributes, rank = node.attributes, len(shape) - 2
    if attributes.get_string("auto_pad", "NOTSET") != "NOTSET" or attributes.get_ints("output_shape"):
        return None
    strides, dilations = (
        tuple(attributes.get_ints(name) or (1,) * rank) for name in ("strides", "dilations")
    )
    groups = attributes.get_int("group", 1)
    sizes = shape[2:], result[2:], weights[2:], strides, dilations, pads_of(node)[:rank]
    return Transposed(*sizes, shape[0], groups, (shape[1] // groups, weights[1]))


def _constants(value: ir.Value | None, axis: int) -> list[ir.Value] | None:
    """A constant; integers, scales, zero points of one dequantized along `axis`; None for other values."""
    if value is None or constant_of(value) is not None:
        return [] if value is None else [value]
    reader = produced_by(value, "DequantizeLinear")
    if reader is None or reader.attributes.get_int("block_size", 0) > 0:
        return None
    operands = [operand for operand in reader.inputs if operand is not None]
    arrays = [array for operand in operands if (array := constant_of(operand)) is not None]
    if len(arrays) < len(operands):
        return None
    along = reader.attributes.get_int("axis", 1)
    fits = along % arrays[0].ndim == axis or all(factor.size == 1 for factor in arrays[1:])
    return operands if fits else None


def _rearranged(
    node: ir.Node, operands: Sequence[ir.Value], phases: Phases, change: Callable[[Array, Array], Array]
) -> ir.Value:
    """`change(array, zero point)` of `operands`, which are as `_constants` returns them."""
    array, *factors = (array for operand in operands if (array := constant_of(operand)) is not None)
    zero = factors[1].reshape(-1) if len(factors) > 1 else np.zeros(1, array.dtype)
    changed = [change(array, zero)]
    changed += [phases.of_channels(f) if f.size > 1 else f.reshape(()) for f in factors]
    values = [
        add_initializer(graph_of(node), f"{operand.name}/phases", new, operand)
        for operand, new in zip(operands, changed, strict=True)
    ]
    if not factors:
        return values[0]
    attributes = {"axis": 0} if any(factor.size > 1 for factor in factors) else {}
    shape, dtype = changed[0].shape, values[1].dtype
    return insert(node, "DequantizeLinear", values, attributes, shape=shape, dtype=dtype)


def _attributes(phases: Phases, windows: Sequence[Window]) -> dict[str, Any]:
    return {
        "kernel_shape": [window.taps.shape[1] for window in windows],
        "pads": [window.pads[end] for end in (0, 1) for window in windows],
        "dilations": [axis.step for axis in phases.axes],
        "group": phases.groups,
    }


def _interleaved(before: ir.Node, value: ir.Value, phases: Phases) -> ir.Value:
    """[N, windows * group * phases * output, *counts] as [N, group * output, *counts * strides]."""
    axes, shape = phases.axes, static_shape(value) or ()
    rank, outer = len(axes), 2 + len(axes)
    windows, inner = (len(axis.windows) for axis in axes), (axis.phases for axis in axes)
    split = (shape[0], *windows, phases.groups, *inner, phases.outputs, *shape[2:])
    counted = outer + rank + 1
    order = [place for axis in range(rank) for place in (counted + axis, 1 + axis, outer + axis)]
    moved = Movement.of(shape).reshape(split).transpose((0, 1 + rank, outer + rank, *order))
    assert moved is not None  # every axis is one of the split
    sizes = [axis.count * axis.stride for axis in axes]
    return emit(before, value, moved.reshape((shape[0], phases.groups * phases.outputs, *sizes)))


def _cropped(before: ir.Node, value: ir.Value, axes: Sequence[Axis]) -> ir.Value:
    """Without what the first and the last positions compute beyond the result of `before`."""
    shape, result = static_shape(value) or (), static_shape(before.outputs[0]) or ()
    cut = [axis for axis in range(len(shape)) if shape[axis] != result[axis]]
    if not cut:
        return value
    starts = [axes[axis - 2].crop for axis in cut]
    ends = [start + result[axis] for start, axis in zip(starts, cut, strict=True)]
    bounds = [
        add_initializer(graph_of(before), f"{value.name}/{label}", np.array(numbers, np.int64))
        for label, numbers in (("starts", starts), ("ends", ends), ("axes", cut))
    ]
    return insert(before, "Slice", [value, *bounds], shape=result)
