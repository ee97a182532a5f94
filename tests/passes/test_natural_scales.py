"""Softmax, Sigmoid and Tanh are quantized to their own range first."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.passes.edit import constant_of
from edgecompile.passes.natural_scales import NATURAL, NaturalScales
from tests.support.operators import normal
from tests.support.passes import graph, kinds, proven, unchanged
from tests.support.quantized import QuantizedGraph, one_operator

ROWS = normal(3, 8) * 2


@pytest.mark.parametrize("op_type", NATURAL)
def test_another_scale_is_a_second_quantization(op_type: str) -> None:
    after = proven(NaturalScales(), one_operator(op_type, [ROWS])).model
    (function,) = (node for node in after.graph.graph if node.op_type == op_type)
    (quantize,) = function.outputs[0].consumers()
    scale, zero = (constant_of(value) for value in quantize.inputs[1:])
    assert scale is not None
    assert zero is not None
    assert (scale.item(), zero.item()) == NATURAL[op_type]
    assert kinds(after)[-4:] == ["QuantizeLinear", "DequantizeLinear"] * 2


def test_its_own_scale_is_kept() -> None:
    graph_ = QuantizedGraph()
    tanh = graph_.node("Tanh", [graph_.input(ROWS)])
    unchanged(NaturalScales(), graph_.model(graph_.quantized(tanh, np.array([-1, 127 / 128], np.float32))))


def test_swish_becomes_a_product() -> None:
    x = "q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)"
    y = "o = QuantizeLinear (w, s, z) y = DequantizeLinear (o, s, z)"
    constants = "<float s = {0.02}, int8 z = {3}>"
    before = graph("float[2,8] x => float[2,8] y", f"{x} w = Swish (d) {y}", constants)
    after = proven(NaturalScales(), before).model
    assert [kind for kind in kinds(after) if not kind.endswith("Linear")] == ["Sigmoid", "Mul"]


def test_real_numbers_are_left_alone() -> None:
    unchanged(NaturalScales(), graph("float[2,8] x => float[2,8] y", "y = Sigmoid (x)"))
