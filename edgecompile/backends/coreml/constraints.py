"""What a Core ML program computes of the operators of a network, in float16 and with 8-bit activations.

From the definitions of MIL's operations, as coremltools documents and checks them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.backends.constraints import Constraints, Rule
from edgecompile.core.target import CoreMl
from edgecompile.passes.edit import constant_of, static_shape

_MOST_AXES = 5
_GREATEST, _LEAST = float(np.finfo(np.float16).max), 2.0**-25
# Below that float16 loses digits of a scale.
LEAST_SCALE = float(np.finfo(np.float16).tiny)
_TYPES = frozenset(
    (
        ir.DataType.FLOAT,
        ir.DataType.FLOAT16,
        ir.DataType.DOUBLE,
        ir.DataType.BOOL,
        ir.DataType.INT32,
        ir.DataType.INT64,
    )
)
_MOVES = ("Reshape", "Slice", "Transpose")
_BYTES = (ir.DataType.INT8, ir.DataType.UINT8)
_LSTM_ACTIVATIONS = {"Sigmoid", "Tanh", "Relu"}


def has_a_type(node: ir.Node, settings: CoreMl) -> bool:
    """Tensors are real numbers, booleans, or integers of 32 or 64 bits whose values fit 32 bits. Integers
    of 8 bits are quantized, dequantized and moved (Reshape, Slice, Transpose), and nothing else.
    """
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return True
    # The bounds of a Slice are no data, and may be as large as there are numbers.
    inputs = node.inputs[:1] if node.op_type == "Slice" else node.inputs
    small = _BYTES if node.op_type in _MOVES else ()
    values = (value for value in (*inputs, *node.outputs) if value is not None)
    return all(value.dtype in small or _fits(value) for value in values)


def has_few_axes(node: ir.Node, settings: CoreMl) -> bool:
    """Tensors have at most 5 axes, none of them empty."""
    values = [value for value in (*node.inputs, *node.outputs) if constant_of(value) is None]
    shapes = [static_shape(value) or () for value in values]
    return all(len(shape) <= _MOST_AXES and 0 not in shape for shape in shapes)


def fits_half(node: ir.Node, settings: CoreMl) -> bool:
    """Real constants are at most 65504, the greatest number of float16, and a single one is not so small that
    it would become 0.

    Fix: scale what the layer computes, write -inf for a mask, or compile for a CPU
    """
    if node.op_type == "DequantizeLinear":
        return True
    constants = [constant_of(value) for value in node.inputs]
    return all(_fits_half(array) for array in constants if array is not None and array.dtype.kind == "f")


def is_real(node: ir.Node, settings: CoreMl) -> bool:
    """Its data are real numbers."""
    value = node.inputs[0]
    return value is not None and value.dtype is not None and value.dtype.is_floating_point()


def weights_are_constant(node: ir.Node, settings: CoreMl) -> bool:
    """Weights and biases are constant."""
    return all(value is None or _is_known(value) for value in node.inputs[1:])


def parameters_are_numbers(node: ir.Node, settings: CoreMl) -> bool:
    """Scales, biases and other parameters are constant real numbers."""
    return _are_numbers(node.inputs[1:])


def state_is_free(node: ir.Node, settings: CoreMl) -> bool:
    """Weights, biases and peepholes are constant real numbers, there are no lengths of sequences, and time
    comes first.
    """
    known = _are_numbers([_input(node, index) for index in (1, 2, 3, 7)])
    return known and _input(node, 4) is None and node.attributes.get_int("layout", 0) == 0


def gates_are_usual(node: ir.Node, settings: CoreMl) -> bool:
    """Activations are Sigmoid, Tanh or Relu, the same in both directions; nothing is clipped or coupled."""
    names = list(node.attributes.get_strings("activations", ()) or ())
    alike = len(names) < 6 or names[:3] == names[3:]
    plain = not node.attributes.get_int("input_forget", 0) and "clip" not in node.attributes
    return set(names) <= _LSTM_ACTIVATIONS and alike and plain


def has_spatial_axes(node: ir.Node, settings: CoreMl) -> bool:
    """Data has one, two or three spatial axes."""
    return 3 <= _rank(node) <= 5


def end_is_cut(node: ir.Node, settings: CoreMl) -> bool:
    """The output padding is at most the padding at the ends."""
    pads, extra = _ints(node, "pads"), _ints(node, "output_padding")
    ends = pads[len(pads) // 2 :] or [0] * len(extra)
    return all(end >= more for end, more in zip(ends, extra, strict=False))


def is_dense(node: ir.Node, settings: CoreMl) -> bool:
    """Windows have no dilations.

    Fix: use strides, or slice the data into its phases
    """
    return max(_ints(node, "dilations"), default=1) == 1


def has_one_result(node: ir.Node, settings: CoreMl) -> bool:
    """It has one result."""
    return sum(bool(value.name and (value.uses() or value.is_graph_output())) for value in node.outputs) <= 1


def average_is_plain(node: ir.Node, settings: CoreMl) -> bool:
    """Windows do not reach beyond the padding if that counts in the average (ceil_mode)."""
    return not (node.attributes.get_int("ceil_mode", 0) and node.attributes.get_int("count_include_pad", 0))


def padding_is_known(node: ir.Node, settings: CoreMl) -> bool:
    """Padding is constant and not negative, and other than constant values pad at most the last two axes."""
    amounts = constant_of(node.inputs[1])
    if amounts is None or amounts.min(initial=0) < 0:
        return False
    mode = node.attributes.get_string("mode", "constant")
    axes = constant_of(node.inputs[3]) if len(node.inputs) > 3 and node.inputs[3] is not None else None
    chosen = np.arange(_rank(node)) if axes is None else axes % _rank(node)
    moved = chosen[(amounts.reshape(2, -1) != 0).any(0)]
    fill = node.inputs[2] if len(node.inputs) > 2 else None
    if mode == "constant":
        return fill is None or constant_of(fill) is not None
    return mode in ("reflect", "edge") and bool((moved >= _rank(node) - 2).all())


def bounds_are_known(node: ir.Node, settings: CoreMl) -> bool:
    """Indices, sizes, axes and limits are constant."""
    return _are_numbers(node.inputs[1:])


def resizes_an_image(node: ir.Node, settings: CoreMl) -> bool:
    """Linear and cubic resizing change the last two axes at most; nothing is cropped, the aspect is free."""
    if _input(node, 2) is not None and constant_of(_input(node, 2)) is None:
        return False
    if _input(node, 3) is not None and constant_of(_input(node, 3)) is None:
        return False
    crops = node.attributes.get_string("coordinate_transformation_mode", "") == "tf_crop_and_resize"
    free = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    before, after = static_shape(node.inputs[0]) or (), static_shape(node.outputs[0]) or ()
    outer = node.attributes.get_string("mode", "nearest") == "nearest" or before[:-2] == after[:-2]
    return not crops and free and outer


def is_quantized_here(node: ir.Node, settings: CoreMl) -> bool:
    """Integers are int8 or uint8, with constant scales, one or one for each channel, of at least 2^-14 where
    they are not weights. Weights may have 4 bits in blocks on iOS 18, biases 32.

    Fix: use the recipe int8 of `edgecompile quantize`; for int4w a target of iOS 18, such as apple-a18
    """
    quantizes = node.op_type == "QuantizeLinear"
    integers, scale = node.outputs[0] if quantizes else node.inputs[0], constant_of(node.inputs[1])
    zero = _input(node, 2)
    if integers is None or scale is None or (zero is not None and constant_of(zero) is None):
        return False
    if not quantizes and constant_of(integers) is not None:
        blocks = bool(node.attributes.get_int("block_size", 0))
        if integers.dtype == ir.DataType.INT4 and blocks:
            return settings.deployment != "iOS17" and zero is None
        return integers.dtype in (*_BYTES, ir.DataType.INT32) and not blocks
    return integers.dtype in _BYTES and scale.ndim <= 1 and float(scale.min(initial=1)) >= LEAST_SCALE


def modulus_is_positive(node: ir.Node, settings: CoreMl) -> bool:
    """The result has the sign of the divisor (fmod is 0)."""
    return not node.attributes.get_int("fmod", 0)


def window_is_odd(node: ir.Node, settings: CoreMl) -> bool:
    """The number of channels that are summed is odd."""
    return node.attributes.get_int("size", 1) % 2 == 1


def is_first_index(node: ir.Node, settings: CoreMl) -> bool:
    """Of equal elements the first is found."""
    return not node.attributes.get_int("select_last_index", 0)


def keeps_the_diagonal(node: ir.Node, settings: CoreMl) -> bool:
    """The diagonal is constant, and the main diagonal is kept."""
    k = constant_of(_input(node, 1)) if _input(node, 1) is not None else np.array(0)
    upper = bool(node.attributes.get_int("upper", 1))
    return k is not None and bool(k <= 0 if upper else k >= 0)


def is_an_image(node: ir.Node, settings: CoreMl) -> bool:
    """Data has two spatial axes."""
    return _rank(node) == 4


def has_no_batches(node: ir.Node, settings: CoreMl) -> bool:
    """No leading axes are shared with the indices."""
    return not node.attributes.get_int("batch_dims", 0)


_REAL: tuple[Rule[CoreMl], ...] = (is_real,)
_ANY: tuple[Rule[CoreMl], ...] = ()
_FREE = """
    Add And Cast Concat Equal Expand Flatten GatherElements Greater GreaterOrEqual Identity Less LessOrEqual
    Max Min Mul Neg Not Or ReduceMax ReduceMin ReduceProd ReduceSum Reshape Sign Split Squeeze Sub Sum
    Transpose Unsqueeze Where Xor
""".split()
_REALS = """
    Abs Acos Asin Atan Atanh Ceil Cos Cosh Div Elu Erf Exp Floor Gelu GlobalAveragePool GlobalMaxPool
    HardSigmoid HardSwish IsNaN LeakyRelu Log LogSoftmax LpNormalization MatMul Mean Mish Pow Reciprocal
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean ReduceSumSquare Relu Round Sigmoid Sin Sinh
    Softmax Softplus Softsign Sqrt Swish Tan Tanh
""".split()

TABLE: Constraints[CoreMl] = Constraints(
    {
        **dict.fromkeys(_FREE, _ANY),
        **dict.fromkeys(_REALS, _REAL),
        "ArgMax": (is_first_index,),
        "ArgMin": (is_first_index,),
        "AveragePool": (is_real, has_spatial_axes, is_dense, average_is_plain),
        "BatchNormalization": (is_real, parameters_are_numbers, has_one_result),
        "Clip": (bounds_are_known,),
        "Conv": (is_real, has_spatial_axes, weights_are_constant),
        "ConvTranspose": (is_real, has_spatial_axes, weights_are_constant, end_is_cut),
        "CumSum": (bounds_are_known,),
        "DepthToSpace": (is_real, is_an_image),
        "DequantizeLinear": (is_quantized_here,),
        "Gather": _ANY,
        "GatherND": (has_no_batches,),
        "Gemm": _REAL,
        "GroupNormalization": (is_real, parameters_are_numbers),
        "InstanceNormalization": (is_real, parameters_are_numbers),
        "LRN": (is_real, window_is_odd),
        "LSTM": (is_real, state_is_free, gates_are_usual),
        "LayerNormalization": (is_real, parameters_are_numbers, has_one_result),
        "MaxPool": (is_real, has_spatial_axes, is_dense, has_one_result),
        "Mod": (modulus_is_positive,),
        "PRelu": (is_real, parameters_are_numbers),
        "Pad": (padding_is_known,),
        "QuantizeLinear": (is_quantized_here,),
        "Resize": (is_real, resizes_an_image),
        "Slice": (bounds_are_known,),
        "SpaceToDepth": (is_real, is_an_image),
        "Tile": (bounds_are_known,),
        "TopK": (bounds_are_known,),
        "Trilu": (keeps_the_diagonal,),
    },
    (has_a_type, has_few_axes, fits_half),
    lambda node: node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}",
    "EC4600",
)


def _fits(value: ir.Value) -> bool:
    array = constant_of(value)
    if array is not None and array.dtype.kind in "iu" and array.size:
        info = np.iinfo(np.int32)
        return value.dtype in _TYPES and info.min <= array.min() and array.max() <= info.max
    return value.dtype in _TYPES


def _fits_half(array: Any) -> bool:
    finite = np.abs(array[np.isfinite(array)])
    too_large = finite.max(initial=0) > _GREATEST
    lost = array.size == 1 and finite.size == 1 and 0 < finite.max() < _LEAST
    return not too_large and not lost


def _are_numbers(values: Iterable[ir.Value | None]) -> bool:
    return all(value is None or constant_of(value) is not None for value in values)


def _is_known(value: ir.Value | None) -> bool:
    """A constant, or one behind DequantizeLinear."""
    producer = None if value is None else value.producer()
    if producer is not None and producer.op_type == "DequantizeLinear":
        return constant_of(producer.inputs[0]) is not None
    return constant_of(value) is not None


def _input(node: ir.Node, index: int) -> ir.Value | None:
    return node.inputs[index] if index < len(node.inputs) else None


def _ints(node: ir.Node, name: str) -> Sequence[int]:
    return tuple(node.attributes.get_ints(name, ()) or ())


def _rank(node: ir.Node) -> int:
    return len(static_shape(node.inputs[0]) or ())
