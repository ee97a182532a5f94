"""A convolution over a line is one over an image of one line."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from edgecompile.passes.widen_convolution import WidenConvolution
from tests.support.compact import CompactGraph
from tests.support.graphs import operators
from tests.support.passes import graph, node_of, proven, unchanged, weights
from tests.support.quantized import as_model

CASES = {
    "padded, strided, dilated": (
        "float[1,4,20] x => float[1,6,8] y",
        "y = Conv <kernel_shape = [3], strides = [2], dilations = [2], pads = [0, 1]> (x, w)",
        weights(w=(6, 4, 3)),
        ["Reshape", "Conv", "Reshape"],
    ),
    "with its activation": (
        "float[1,4,20] x => float[1,6,18] y",
        "a = Conv (x, w) y = Relu (a)",
        weights(w=(6, 4, 3)),
        ["Reshape", "Conv", "Relu", "Reshape"],
    ),
    "transposed": (
        "float[1,4,9] x => float[1,6,20] y",
        "y = ConvTranspose <strides = [2], output_padding = [1]> (x, w)",
        weights(w=(4, 6, 3)),
        ["Reshape", "ConvTranspose", "Reshape"],
    ),
    "pools": (
        "float[1,4,20] x => float[1,4,9] y",
        "a = MaxPool <kernel_shape = [2], strides = [1]> (x) "
        "y = AveragePool <kernel_shape = [3], strides = [2], pads = [0, 0]> (a)",
        "",
        ["Reshape", "MaxPool", "Reshape", "Reshape", "AveragePool", "Reshape"],
    ),
}

QUANTIZED = """
    q = QuantizeLinear (x, s, z) d = DequantizeLinear (q, s, z)
    k = DequantizeLinear <axis = 0> (i, c)
    a = Conv (d, k) b = Relu (a)
    e = QuantizeLinear (b, s, z) y = DequantizeLinear (e, s, z)
"""
INTEGERS = "<float s = {0.5}, int8 z = {0}, int8[2,1,3] i = {1, 2, 3, -4, 5, -6}, float[2] c = {0.5, 0.25}>"


def test_a_quantized_convolution_stays_between_its_pairs() -> None:
    before = graph("float[1,1,9] x => float[1,2,7] y", QUANTIZED, INTEGERS)
    found = operators(proven(WidenConvolution(), before).model)
    assert found == [
        "QuantizeLinear",
        "DequantizeLinear",  # of the weights
        "Reshape",
        "DequantizeLinear",
        "Conv",
        "Relu",
        "QuantizeLinear",
        "Reshape",
        "DequantizeLinear",
    ]


@pytest.mark.parametrize(("signature", "body", "constants", "expected"), CASES.values(), ids=CASES)
def test_widened(signature: str, body: str, constants: str, expected: list[str]) -> None:
    assert operators(proven(WidenConvolution(), graph(signature, body, constants)).model) == expected


def test_weights_stay_in_float16() -> None:
    g = CompactGraph()
    x = g.normal(1, 16, 20)
    before = as_model(g.model({"x": x}, g.node("Conv", ["x", g.half(g.normal(16, 16, 3))])))
    after = proven(WidenConvolution(), before).model
    assert operators(after) == ["Cast", "Reshape", "Conv", "Reshape"]
    (stored,) = node_of(after, "Cast").inputs
    assert stored is not None
    assert stored.dtype == ir.DataType.FLOAT16


def test_others_are_kept() -> None:
    images = graph("float[1,4,5,5] x => float[1,4,5,5] y", "y = MaxPool <kernel_shape = [1, 1]> (x)")
    unchanged(WidenConvolution(), images)
    run_time = graph("float[1,4,9] x, float[2,4,3] w => float[1,2,7] y", "y = Conv (x, w)")
    unchanged(WidenConvolution(), run_time)
