"""Which operators can work on data with permuted axes, and what changes in them.

`permuted(node, perm)` answers for one node: given its data inputs as Transpose(x, perm), which attributes and
constant inputs make it compute Transpose(y, perm)? Most operators either do not care (elementwise) or name
axes (Concat, Softmax, reductions, Slice, Pad ...). Convolutions and pools exist on channels-last data as
functions of domain edgecompile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import NHWC, TO_NHWC, FusedOp
from edgecompile.passes.edit import constant_of, static_shape

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Permuted:
    """How to change a node: `moved` inputs come permuted, `attributes` and `constants` (by input) are new."""

    moved: Shape
    attributes: dict[str, Any] = field(default_factory=dict)
    constants: dict[int, list[int]] = field(default_factory=dict)
    op_type: str = ""


ELEMENTWISE = frozenset(
    """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
    Cast Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid
    HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not
    Or PRelu Pow Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub
    Sum Swish Tan Tanh ThresholdedRelu Where Xor
    """.split()
)


def rank_of(node: ir.Node) -> int:
    """The rank that decides whether a permutation applies: that of the first output."""
    return len(static_shape(node.outputs[0]) or ())


def permuted(node: ir.Node, perm: Shape, channels_last: bool) -> Permuted | None:
    """The change of `node` under `perm`, None when it cannot be; `channels_last` allows convolutions."""
    op = FusedOp.of(node)
    if op is None or op.layout == "nhwc" or rank_of(node) != len(perm):
        return None
    if op.base in ELEMENTWISE:
        return Permuted(tuple(range(len(node.inputs))))
    if op.base in NHWC:
        single = len(node.outputs) == 1 and perm == TO_NHWC and len(static_shape(node.inputs[0]) or ()) == 4
        return _channels_last(op) if single and channels_last else None
    rule = _RULES.get(op.base)
    if rule is None or len(static_shape(node.inputs[0]) or ()) != len(perm):
        return None
    return rule(node, perm)


def _channels_last(op: FusedOp) -> Permuted:
    return Permuted((0,), op_type=FusedOp(op.base, op.activation, "nhwc").name)


def _axis_attribute(default: int) -> Callable[[ir.Node, Shape], Permuted | None]:
    def rule(node: ir.Node, perm: Shape) -> Permuted | None:
        axis = node.attributes.get_int("axis", default) % len(perm)
        moved = tuple(range(len(node.inputs))) if node.op_type == "Concat" else (0,)
        return Permuted(moved, {"axis": perm.index(axis)})

    return rule


def _index_reduction(node: ir.Node, perm: Shape) -> Permuted | None:
    return _axis_attribute(0)(node, perm) if node.attributes.get_int("keepdims", 1) else None


def _axes_input(position: int) -> Callable[[ir.Node, Shape], Permuted | None]:
    def rule(node: ir.Node, perm: Shape) -> Permuted | None:
        if position >= len(node.inputs) or node.inputs[position] is None:
            return Permuted((0,))
        axes = _numbers(node.inputs[position])
        return None if axes is None else Permuted((0,), constants={position: _map_axes(axes, perm)})

    return rule


def _reduction(node: ir.Node, perm: Shape) -> Permuted | None:
    return _axes_input(1)(node, perm) if node.attributes.get_int("keepdims", 1) else None


def _slice(node: ir.Node, perm: Shape) -> Permuted | None:
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return _axes_input(3)(node, perm)
    count = (static_shape(node.inputs[1]) or (0,))[0]
    return Permuted((0,), constants={3: _map_axes(list(range(count)), perm)})


def _pad(node: ir.Node, perm: Shape) -> Permuted | None:
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return _axes_input(3)(node, perm)
    pads, rank = _numbers(node.inputs[1]), len(perm)
    if pads is None:
        return None
    moved = [*(pads[axis] for axis in perm), *(pads[rank + axis] for axis in perm)]
    return Permuted((0,), constants={1: moved})


def _shape_input(node: ir.Node, perm: Shape) -> Permuted | None:
    sizes = _numbers(node.inputs[1])
    if sizes is None or len(sizes) > len(perm):
        return None
    full = [1] * (len(perm) - len(sizes)) + sizes
    return Permuted((0,), constants={1: [full[axis] for axis in perm]})


def _gather(node: ir.Node, perm: Shape) -> Permuted | None:
    indices = static_shape(node.inputs[1])
    return _axis_attribute(0)(node, perm) if indices is not None and len(indices) == 1 else None


def _quantize(node: ir.Node, perm: Shape) -> Permuted | None:
    scale = static_shape(node.inputs[1])
    if scale is None or len(scale) > 1:
        return None
    return _axis_attribute(1)(node, perm) if scale else Permuted((0,))


def _whole(node: ir.Node, perm: Shape) -> Permuted:
    """What is the same for all elements; results of another rank do not depend on their places."""
    return Permuted((0,))


def _matmul(node: ir.Node, perm: Shape) -> Permuted | None:
    """The contracted axis must stay last; the weights are one matrix for all leading axes."""
    plain = len(static_shape(node.inputs[1]) or ()) == 2 and constant_of(node.inputs[1]) is not None
    return Permuted((0,)) if plain and perm[-1] == len(perm) - 1 else None


def _trailing(node: ir.Node, perm: Shape) -> Permuted | None:
    axis = node.attributes.get_int("axis", -1) % len(perm)
    stays = perm[axis:] == tuple(range(axis, len(perm)))
    return Permuted((0,)) if stays and len(node.outputs) == 1 else None


def _numbers(value: ir.Value | None) -> list[int] | None:
    array = constant_of(value)
    return None if array is None else [int(number) for number in np.ravel(array)]


def _map_axes(axes: list[int], perm: Shape) -> list[int]:
    return [perm.index(axis % len(perm)) for axis in axes]


_RULES: dict[str, Callable[[ir.Node, Shape], Permuted | None]] = {
    **dict.fromkeys(["Softmax", "LogSoftmax", "Hardmax", "LpNormalization", "TopK"], _axis_attribute(-1)),
    **dict.fromkeys(["Concat", "Split"], _axis_attribute(0)),
    **dict.fromkeys(["ArgMax", "ArgMin"], _index_reduction),
    **dict.fromkeys(["ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd"], _reduction),
    **dict.fromkeys(
        ["ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare"], _reduction
    ),
    **dict.fromkeys(["Expand", "Tile"], _shape_input),
    **dict.fromkeys(["QuantizeLinear", "DequantizeLinear"], _quantize),
    **dict.fromkeys(["LayerNormalization", "RMSNormalization"], _trailing),
    "CumSum": _axes_input(1),
    "DynamicQuantizeLinear": _whole,
    "Gather": _gather,
    "MatMul": _matmul,
    "Pad": _pad,
    "Slice": _slice,
}
