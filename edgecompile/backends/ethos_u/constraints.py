"""What the Ethos-U computes of the operators of an integer network.

From `ethosu.regor.tflite_operator_constraints`, in terms of our operators. The U85 has fewer limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.backends.constraints import Constraints, Rule
from edgecompile.core.integer import FUNCTION_KEY
from edgecompile.core.target import EthosU
from edgecompile.passes.edit import constant_of, static_shape

_WEIGHT_SUM = 8323072
_LONG = 1 << 16
# Functions of one element, which the integer network holds as tables.
_FUNCTIONS = "Abs Elu Exp HardSwish LeakyRelu Log Sigmoid Tanh".split()


def is_int8(node: ir.Node, npu: EthosU) -> bool:
    """Activations are int8.

    Fix: quantize the network first: edgecompile quantize, with the recipe int8
    """
    return all(value.dtype == ir.DataType.INT8 for value in _activations(node))


def strides_up_to_three(node: ir.Node, npu: EthosU) -> bool:
    """On U55 and U65, strides are at most 3, or larger without dilations and padding."""
    largest = max(_ints(node, "strides"), default=1)
    plain = not any(_ints(node, "pads")) and max(_ints(node, "dilations"), default=1) == 1
    return npu.architecture == "EthosU85" or largest <= 3 or (plain and not _is_depthwise(node))


def weights_are_small(node: ir.Node, npu: EthosU) -> bool:
    """The absolute weights of each output channel add up to at most 8323072."""
    weights = constant_of(node.inputs[1])
    if weights is None:
        return False
    sums = np.abs(weights.astype(np.int64)).reshape(weights.shape[0], -1).sum(1)
    return bool(sums.max(initial=0) <= _WEIGHT_SUM)


def is_an_image(node: ir.Node, npu: EthosU) -> bool:
    """Data has one or two spatial axes."""
    return len(_shape(node)) in (3, 4)


def window_is_small(node: ir.Node, npu: EthosU) -> bool:
    """The window is at most 256 high and has at most 65536 elements."""
    kernel = _ints(node, "kernel_shape") or _spatial(node)
    height = kernel[0] if len(kernel) == 2 else 1
    return height <= 256 and math.prod(kernel) <= _LONG


def padded_window_is_small(node: ir.Node, npu: EthosU) -> bool:
    """An averaging window over padding is at most 8 by 8."""
    return not any(_ints(node, "pads")) or max(_ints(node, "kernel_shape"), default=1) <= 8


def has_one_scale(node: ir.Node, npu: EthosU) -> bool:
    """Input and output have one scale and zero point."""
    return len(node.inputs) == 1 or node.inputs[1] is None


def has_few_rows(node: ir.Node, npu: EthosU) -> bool:
    """There are fewer than 65536 rows."""
    shape = _shape(node)
    return math.prod(shape) < _LONG * shape[node.attributes.get_int("axis", -1)]


def axes_are_short(node: ir.Node, npu: EthosU) -> bool:
    """On U55 and U65, any two axes fewer than all have together at most 65536 elements."""
    shape = sorted(_shape(node))
    return npu.architecture == "EthosU85" or math.prod(shape[2:]) <= _LONG


def repeats_by_powers(node: ir.Node, npu: EthosU) -> bool:
    """Height and width grow by one factor of 2, 4 or 8, or not at all."""
    before, after = _shape(node), static_shape(node.outputs[0]) or ()
    factors = {big / small for big, small in zip(after, before, strict=True) if big != small}
    return len(factors) <= 1 and factors <= {2.0, 4.0, 8.0}


def depth_is_short(node: ir.Node, npu: EthosU) -> bool:
    """Products have at most 65536 summands."""
    return _shape(node)[-1] <= _LONG


def is_neighbours(node: ir.Node, npu: EthosU) -> bool:
    """On U55 and U65, constant indices are of neighbours, in order.

    Fix: use Slice
    """
    indices = constant_of(node.inputs[1])
    if indices is None or npu.architecture == "EthosU85":
        return indices is not None
    return bool((np.diff(indices.ravel()) == 1).all())


def strides_in_the_image(node: ir.Node, npu: EthosU) -> bool:
    """Steps are larger than 1 along height and width only, the two axes in front of the last.

    Fix: give the data four axes, of which steps along the last become a convolution
    """
    steps = constant_of(node.inputs[4]) if len(node.inputs) > 4 else None
    axes, rank = constant_of(node.inputs[3]) if len(node.inputs) > 3 else None, len(_shape(node))
    if steps is None:
        return True
    where = range(len(steps)) if axes is None else axes.tolist()
    return all(
        step == 1 or axis % rank in (rank - 3, rank - 2) for axis, step in zip(where, steps, strict=True)
    )


_CONTRACTION: tuple[Rule[EthosU], ...] = (is_an_image, strides_up_to_three, weights_are_small)
_MOVES = "Concat Flatten Identity Max Min Pad ReduceMax ReduceMin Reshape Squeeze Tile Unsqueeze".split()
_SUMS = "Add Sub Mul Requantize".split()


def name_of(node: ir.Node) -> str:
    """An operator without its layout, or the function whose table a node has."""
    name = node.op_type.removesuffix("Nhwc")
    return node.metadata_props.get(FUNCTION_KEY, name) if name == "Table" else name


TABLE: Constraints[EthosU] = Constraints(
    {
        **dict.fromkeys((*_MOVES, *_SUMS, *_FUNCTIONS), ()),
        "AveragePool": (
            is_an_image,
            has_one_scale,
            window_is_small,
            padded_window_is_small,
            strides_up_to_three,
        ),
        "Conv": _CONTRACTION,
        "Gather": (is_neighbours,),
        "Gemm": (weights_are_small,),
        "GlobalAveragePool": (is_an_image, has_one_scale, window_is_small),
        "MatMul": (depth_is_short,),
        "MaxPool": (is_an_image, window_is_small, strides_up_to_three),
        "Resize": (is_an_image, repeats_by_powers),
        "Slice": (strides_in_the_image,),
        "Softmax": (has_few_rows,),
        "Transpose": (axes_are_short,),
    },
    (is_int8,),
    name_of,
    "EC4542",
)


def _activations(node: ir.Node) -> list[ir.Value]:
    """The data that flows through a node."""
    data = [value for value in node.inputs if value is not None and constant_of(value) is None]
    return [*data, *node.outputs]


def _ints(node: ir.Node, name: str) -> Sequence[int]:
    return tuple(node.attributes.get_ints(name, ()) or ())


def _shape(node: ir.Node) -> tuple[int, ...]:
    shape = static_shape(node.inputs[0])
    assert shape is not None
    return shape


def _spatial(node: ir.Node) -> Sequence[int]:
    shape = _shape(node)
    return shape[1:-1] if node.op_type.endswith("Nhwc") else shape[2:]


def _is_depthwise(node: ir.Node) -> bool:
    return node.attributes.get_int("group", 1) > 1
