from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.quantize_dynamically_to_int8 import QuantizeDynamicallyToInt8
from tests.support.passes import graph, kinds, proven, unchanged

_WEIGHTS = "<int8[3,2] w = {1, -2, 3, 40, -127, 127}, int8[3,4] v = {1,2,3,4,5,6,7,8,-9,-10,-11,-12}>"
_QUANTIZE = "q, s, z = DynamicQuantizeLinear(x) "


def network(body: str, outputs: str) -> Model:
    return graph(f"float[2,5,3] x => {outputs}", _QUANTIZE + body, _WEIGHTS)


def test_the_readers_of_one_tensor_share_its_signed_integers() -> None:
    before = network(
        "a = MatMulInteger(q, w, z) b = MatMulInteger(q, v, z) t = Identity(s)",
        "int32[2,5,2] a, int32[2,5,4] b, float t",
    )
    after = proven(QuantizeDynamicallyToInt8(), before).model
    assert kinds(after).count("QuantizeLinear") == 1
    products = [node for node in after.graph.graph if node.op_type == "MatMulInteger"]
    assert [value.dtype for node in products for value in node.inputs if value is not None] == [
        ir.DataType.INT8
    ] * 6


def test_convolutions_are_readers_too() -> None:
    before = graph(
        "float[1,2,4,4] x => int32[1,1,3,3] y",
        _QUANTIZE + "y = ConvInteger <kernel_shape = [2, 2]> (q, w, z)",
        "<int8[1,2,2,2] w = {1,2,-3,4,5,-6,7,8}>",
    )
    after = proven(QuantizeDynamicallyToInt8(), before).model
    assert "QuantizeLinear" in kinds(after)


def test_integers_that_somebody_else_reads_stay() -> None:
    step = QuantizeDynamicallyToInt8()
    unchanged(step, network("a = MatMulInteger(q, w, z)", "int32[2,5,2] a, uint8[2,5,3] q"))
    unchanged(step, network("a = MatMulInteger(q, w, z)", "int32[2,5,2] a, uint8 z"))
    unchanged(step, network("a = MatMulInteger(q, w)", "int32[2,5,2] a"))
    unchanged(
        step, network("a = MatMulInteger(q, w, z) r = Cast <to = 6> (q)", "int32[2,5,2] a, int32[2,5,3] r")
    )
