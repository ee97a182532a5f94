"""Move the scales of products a little, so that all kernels of TensorFlow Lite compute the same integers.

The multiplier of a product, a · b / y of the three scales, is computed in float32 by LiteRT and in double
precision by TensorFlow Lite for Microcontrollers. They differ after 24 bits of 31, and an integer now and
then. For some of the numbers next to y they do not, as a rule: the nearest becomes the result's scale.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.core.fused import FusedOp
from edgecompile.core.integer import ROUNDING_KEY, decompose
from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import add_initializer
from edgecompile.passes.integer.moves import data_inputs, is_move
from edgecompile.passes.integer.quantized import dequantized, described
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import finish, graph_of

# How many float32 numbers are tried on either side: 1.2e-4 of the scale at most.
_NEIGHBOURS = 1024


class AgreeOnProducts:
    """Scales of products for which float32 and double precision give one multiplier.

    Not in networks whose integers are specified: there scales are as they are.
    """

    name = "agree_on_products"
    tolerance = 1 / 64  # a step of the result may fall to the other side

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        if ROUNDING_KEY in model.graph.metadata_props:
            return PassResult(model, False)
        count = sum(_adjust(node) for node in list(graph) if node.graph is graph)
        return finish(model, count, "scales of products moved by less than 2e-4 of them")


def _adjust(node: ir.Node) -> bool:
    op, quantize = FusedOp.of(node), only_reader(node.outputs[0])
    if op is None or op.base != "Mul" or quantize is None or quantize.op_type != "QuantizeLinear":
        return False
    a, b = (dequantized(value) for value in node.inputs[:2])
    result, readers = described(quantize, quantize.outputs[0]), _readers(quantize.outputs[0])
    if a is None or b is None or result is None or readers is None:
        return False
    scale = agreeing_scale(a.scale, b.scale, result.scale)
    if scale is None or scale == result.scale:
        return False
    moved = add_initializer(
        graph_of(node), f"{quantize.outputs[0].name}/scale", np.asarray(scale, np.float32)
    )
    for user in (quantize, *readers):
        user.replace_input_with(1, moved)
    return True


def agreeing_scale(a: float, b: float, y: float) -> float | None:
    """The float32 nearest to `y` with which both ways to compute a · b / y give the same 31 bits.

    None, for about one in ten, where a · b is rounded by more than any quotient can make up for.
    """
    center = int(np.float32(y).view(np.int32))
    single = np.float32(a) * np.float32(b)
    for distance in sorted(range(-_NEIGHBOURS, _NEIGHBOURS + 1), key=abs):
        candidate = np.int32(center + distance).view(np.float32)
        if decompose(float(single / candidate)) == decompose(a * b / float(candidate)):
            return float(candidate)
    return None


def _readers(stored: ir.Value) -> list[ir.Node] | None:
    """The DequantizeLinear nodes that read the integers, moved or not; None when others do as well."""
    found: list[ir.Node] = []
    for user in dict.fromkeys(stored.consumers()):
        if user.op_type == "DequantizeLinear" and not user.domain:
            found.append(user)
            continue
        further = _readers(user.outputs[0]) if is_move(user) and len(data_inputs(user)) == 1 else None
        if further is None:
            return None
        found += further
    return None if stored.is_graph_output() else found
