"""What Qualcomm's HTP computes of the operators of a network between QDQ nodes.

Found by compiling and executing networks of one operator each: what is not in the table is rejected by
Qualcomm's compiler, or comes out wrong.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgecompile.backends.constraints import Constraints, Rule
from edgecompile.core.target import Hexagon
from edgecompile.passes.edit import constant_of, static_shape
from edgecompile.passes.integer.quantized import dequantized
from edgecompile.passes.matching import produced_by

_LINEAR = ("QuantizeLinear", "DequantizeLinear")
_FLOAT = ir.DataType.FLOAT


def has_few_axes(node: ir.Node, npu: Hexagon) -> bool:
    """Tensors have at most five axes."""
    values = (*node.inputs, *node.outputs)
    return all(len(static_shape(value) or ()) <= 5 for value in values if value is not None)


def is_uint8(node: ir.Node, npu: Hexagon) -> bool:
    """Quantized tensors are uint8; int8 is made uint8, except at the borders of the network.

    Fix: quantize the float network with the recipe int8
    """
    if node.op_type == "QuantizeLinear":
        return node.outputs[0].dtype == ir.DataType.UINT8
    computed = node.op_type == "DequantizeLinear" and constant_of(node.inputs[0]) is None
    return not computed or node.inputs[0].dtype == ir.DataType.UINT8  # type: ignore[union-attr]


def is_quantized(node: ir.Node, npu: Hexagon) -> bool:
    """On v68 operators read and write quantized tensors; later versions have 16-bit floats beside.

    Fix: quantize the layer as well, or compile for hexagon-v69 or later
    """
    return npu.architecture > 68 or not computes_floats(node)


def factors_are_one(node: ir.Node, npu: Hexagon) -> bool:
    """The factors alpha and beta are 1, and the data is not transposed.

    Fix: multiply the weights and the bias by them
    """
    attributes = node.attributes
    factors = attributes.get_float("alpha", 1.0), attributes.get_float("beta", 1.0)
    return factors == (1.0, 1.0) and not attributes.get_int("transA", 0)


def is_an_image(node: ir.Node, npu: Hexagon) -> bool:
    """Data has one or two spatial axes."""
    return len(static_shape(node.inputs[0]) or ()) in (3, 4)


def is_not_dilated(node: ir.Node, npu: Hexagon) -> bool:
    """Windows are not dilated."""
    return all(step == 1 for step in node.attributes.get_ints("dilations", ()) or ())


def pads_with_least(node: ir.Node, npu: Hexagon) -> bool:
    """On v68, where padding counts as 0, windows end inside of the image or data has no negative numbers.

    Fix: put a Relu in front, or compile for hexagon-v69 or later
    """
    x = dequantized(node.inputs[0])
    pads = any(node.attributes.get_ints("pads", ()) or ())
    inside = not pads and node.attributes.get_int("ceil_mode", 0) == 0
    return npu.architecture > 68 or inside or (x is not None and x.zero == x.limits[0])


def ends_inside(node: ir.Node, npu: Hexagon) -> bool:
    """Averaging windows end inside of the image: there is no ceil_mode.

    Fix: pad the image instead
    """
    return not node.attributes.get_int("ceil_mode", 0)


def pads_simply(node: ir.Node, npu: Hexagon) -> bool:
    """Padding is constant, reflected, or repeats the edge."""
    return node.attributes.get_string("mode", "constant") in ("constant", "reflect", "edge")


def is_over_last_axis(node: ir.Node, npu: Hexagon) -> bool:
    """The last axis is normalized, and no other."""
    rank = len(static_shape(node.inputs[0]) or ())
    return node.attributes.get_int("axis", -1) % max(rank, 1) == rank - 1


_ELEMENTWISE = """
    Abs Add Ceil Clip Cos Div Elu Exp Floor Gelu HardSigmoid HardSwish Identity LeakyRelu Log Max Min Mul Neg
    PRelu Pow Relu Round Sigmoid Sign Sin Softplus Sqrt Sub Tanh Where
""".split()
_MOVES = """
    Concat DepthToSpace Expand Flatten Gather GatherElements Reshape Slice SpaceToDepth Squeeze Tile
    Transpose Unsqueeze
""".split()
_REDUCTIONS = "GlobalAveragePool GlobalMaxPool ReduceMax ReduceMean ReduceMin ReduceSum".split()
_OTHERS = """
    Conv ConvTranspose GridSample InstanceNormalization LSTM LogSoftmax LpNormalization MatMul Resize Softmax
""".split()
_PLAIN = (*_LINEAR, *_ELEMENTWISE, *_MOVES, *_REDUCTIONS, *_OTHERS)
_RULES: dict[str, tuple[Rule[Hexagon], ...]] = {
    "AveragePool": (is_an_image, ends_inside),
    "Gemm": (factors_are_one,),
    "LayerNormalization": (is_over_last_axis,),
    "MaxPool": (is_an_image, is_not_dilated, pads_with_least),
    "Pad": (pads_simply,),
}
TABLE: Constraints[Hexagon] = Constraints(
    {**dict.fromkeys(_PLAIN, ()), **_RULES},
    (has_few_axes, is_uint8, is_quantized),
    lambda node: node.op_type,
    "EC4590",
)


def computes_floats(node: ir.Node) -> bool:
    """Whether a node works on real numbers that nothing quantizes: 16-bit floats on the HTP."""
    if node.op_type in _LINEAR:
        return False
    read = (value for value in node.inputs if value is not None and value.dtype == _FLOAT)
    if any(constant_of(value) is None and produced_by(value, "DequantizeLinear") is None for value in read):
        return True
    return any(reader.op_type != "QuantizeLinear" for reader in _readers(node))


def _readers(node: ir.Node) -> Iterator[ir.Node]:
    for value in node.outputs:
        if value.dtype == _FLOAT:
            yield from (reader for reader, _ in value.uses())
