"""A transposed convolution is convolutions whose channels are interleaved, in float and in integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from edgecompile.core.integer import ROUNDINGS, Rounding
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.expand_transposed_convolution import ExpandTransposedConvolution
from edgecompile.passes.explicit_padding import ExplicitPadding
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.execute import execute
from tests.support.graphs import operators
from tests.support.operators import expect, node_model, normal
from tests.support.passes import graph, kinds, proven, unchanged, weights
from tests.support.quantized import QuantizedGraph, as_model, converted, one_operator

CASES: dict[str, tuple[str, str, str, list[str]]] = {
    "stride 1": (
        "float[1,4,5,5] x => float[1,8,5,5] y",
        "y = ConvTranspose <pads = [1,1,1,1]> (x, w, b)",
        weights(w=(4, 8, 3, 3), b=(8,)),
        ["Conv"],
    ),
    "no tap in common": (
        "float[1,4,5,5] x => float[1,8,10,10] y",
        "a = ConvTranspose <strides = [2,2]> (x, w, b) y = Relu (a)",
        weights(w=(4, 8, 2, 2), b=(8,)),
        ["Conv", "Relu", "Transpose"],
    ),
    "a border": (
        "float[1,4,16,16] x => float[1,8,32,32] y",
        "y = ConvTranspose <strides = [2,2], pads = [1,1,1,1]> (x, w)",
        weights(w=(4, 8, 4, 4)),
        ["Conv", "Transpose", "Slice"],
    ),
    "many zeros": (
        "float[1,64,9,9] x => float[1,32,18,18] y",
        "a = ConvTranspose <strides = [2,2], pads = [1,1,1,1], output_padding = [1,1]> (x, w) y = Relu (a)",
        weights(w=(64, 32, 3, 3)),
        ["Conv"] * 4 + ["Relu"] * 4 + ["Concat", "Transpose"],
    ),
    "a line": (
        "float[1,4,9] x => float[1,6,18] y",
        "a = ConvTranspose <strides = [2]> (x, w) y = LeakyRelu (a)",
        weights(w=(4, 6, 2)),
        ["Conv", "LeakyRelu", "Transpose"],
    ),
    "two readers": (
        "float[1,4,3,3] x => float[1,2,6,6] y",
        "a = ConvTranspose <strides = [2,2]> (x, w) b = Relu (a) y = Mul (a, b)",
        weights(w=(4, 2, 2, 2)),
        ["Conv", "Transpose", "Relu", "Mul"],
    ),
}


@pytest.mark.parametrize(("signature", "body", "constants", "expected"), CASES.values(), ids=CASES)
def test_expanded(signature: str, body: str, constants: str, expected: list[str]) -> None:
    assert kinds(proven(ExpandTransposedConvolution(), graph(signature, body, constants)).model) == expected


KEPT = {
    "weights of run time": (
        "float[1,4,3,3] x, float[4,2,2,2] w => float[1,2,4,4] y",
        "ConvTranspose (x, w)",
        "",
    ),
    "depthwise": (
        "float[1,4,3,3] x => float[1,4,6,6] y",
        "ConvTranspose <group = 4, strides = [2,2]> (x, w)",
        weights(w=(4, 1, 2, 2)),
    ),
    "an input that is not read": (
        "float[1,4,3,3] x => float[1,2,1,1] y",
        "ConvTranspose <strides = [2,2], pads = [2,2,2,2]> (x, w)",
        weights(w=(4, 2, 1, 1)),
    ),
}


@pytest.mark.parametrize(("signature", "call", "constants"), KEPT.values(), ids=KEPT)
def test_kept(signature: str, call: str, constants: str) -> None:
    unchanged(ExpandTransposedConvolution(), graph(signature, f"y = {call}", constants))


def test_layers_keep_their_names() -> None:
    signature, body, constants, _ = CASES["many zeros"]
    before = graph(signature, body, constants)
    names = [str(node.name) for node in before.graph.graph]
    after = ExpandTransposedConvolution()(before).model
    found = [str(node.name) for node in after.graph.graph if node.op_type in ("Conv", "Relu")]
    assert found == [f"{name}/{i}" for name in names for i in range(4)]


@st.composite
def transposed(draw: st.DrawFn) -> tuple[list[int], list[int], int, int, int, dict[str, Any]]:
    """Extents, kernel, groups, channels of a group, attributes."""
    rank = draw(st.integers(1, 3))

    def numbers(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, strides, dilations, extents = numbers(1, 5), numbers(1, 4), numbers(1, 2), numbers(1, 5)
    reach = [(k - 1) * d for k, d in zip(kernel, dilations, strict=True)]
    extra = [draw(st.integers(0, stride - 1)) for stride in strides]
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations}
    sizes = [s * (n - 1) + r + 1 for s, n, r in zip(strides, extents, reach, strict=True)]
    match draw(st.sampled_from(("pads", "output_shape", "auto_pad"))):
        case "pads":
            pads = [draw(st.integers(0, r)) for r in reach * 2]
            attributes |= {"pads": pads, "output_padding": extra}
            left = zip(sizes, extra, pads[:rank], pads[rank:], strict=True)
            assume(all(size + more > begin + end for size, more, begin, end in left))
        case "output_shape":
            attributes["output_shape"] = [draw(st.integers(max(1, n - 2), n)) for n in sizes]
        case "auto_pad":
            attributes["auto_pad"] = draw(st.sampled_from(("SAME_UPPER", "SAME_LOWER", "VALID")))
    groups, inputs, outputs = (draw(st.integers(1, 3)) for _ in range(3))
    return extents, kernel, groups, inputs, outputs, attributes


@given(transposed(), st.booleans())
def test_any_geometry(case: tuple[list[int], list[int], int, int, int, dict[str, Any]], bias: bool) -> None:
    extents, kernel, groups, inputs, outputs, attributes = case
    arrays = [
        normal(2, groups * inputs, *extents),
        normal(groups * inputs, outputs, *kernel, seed=1),
        normal(groups * outputs, seed=2) if bias else None,
    ]
    constants = (1, 2) if bias else (1,)
    message = node_model("ConvTranspose", arrays, constants, group=groups, **attributes)
    (want,) = expect(message, arrays, "onnxruntime")
    described = helper.make_tensor_value_info("y0", TensorProto.FLOAT, list(want.shape))
    message.graph.output[0].CopyFrom(described)
    before = ExplicitPadding()(as_model(message)).model
    after = proven(ExpandTransposedConvolution(), before).model
    (got,) = run_model(after, {"x0": np.asarray(arrays[0])})
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


X = normal(1, 6, 5, 7)
# weights [C, O / groups, *K] and attributes
QUANTIZED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "2x2": ((6, 5, 2, 2), {"strides": [2, 2]}),
    "4x4": ((6, 5, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "3x3": ((6, 5, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    "stride 1": ((6, 5, 3, 3), {"pads": [1, 1, 1, 1]}),
    "groups": ((6, 4, 3, 3), {"strides": [2, 3], "group": 2}),
    "depthwise": ((6, 1, 4, 4), {"strides": [2, 2], "pads": [1, 1, 1, 1], "group": 6}),
    "holes": ((6, 5, 1, 2), {"strides": [2, 4]}),
}


def quantized(name: str, dtype: str, axis: int | None = 1) -> Model:
    shape, attributes = QUANTIZED[name]
    bias = normal(shape[1] * attributes.get("group", 1), seed=2)
    return one_operator(
        "ConvTranspose", [X, normal(*shape, seed=1), bias], dtype, {1: axis}, [2], "Relu", **attributes
    )


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("name", QUANTIZED)
def test_quantized_ones_compute_in_integers(name: str, dtype: str, rounding: Rounding) -> None:
    before = quantized(name, dtype)
    after = converted(before, rounding, dtype)
    assert not [note for note in after.notes if "in float" in note]
    feeds = generate_inputs(before.inputs, 3)
    (got,), (real,) = Interpreter(after).run(feeds), run_model(before, feeds)
    step = np.diff(np.unique(real)).min()
    assert np.abs(got - real).max() < 1.5 * step
    if (dtype, rounding) == ("uint8", "float"):
        np.testing.assert_array_equal(execute(after, list(feeds.values()))[0], got)


def test_one_scale_for_all_weights() -> None:
    assert not [note for note in converted(quantized("3x3", "int8", None), "single").notes if "float" in note]


def test_zero_points_of_weights_stand_where_there_is_no_tap() -> None:
    integers = "int8[1,2,1] i = {5, 7}, float[2] c = {0.5, 0.25}, int8[2] n = {1, -2}, int32[2] j = {3, 4}"
    body = """
        k = DequantizeLinear <axis = 1> (i, c, n) b = DequantizeLinear <axis = 0> (j, c)
        y = ConvTranspose <strides = [2], output_padding = [1]> (x, k, b)
    """
    before = graph("float[1,1,4] x => float[1,2,8] y", body, f"<{integers}>")
    found = operators(proven(ExpandTransposedConvolution(), before).model)
    assert found == ["DequantizeLinear", "DequantizeLinear", "Conv", "Reshape", "Transpose", "Reshape"]


def test_scales_of_input_channels_are_left_alone() -> None:
    integers = "int8[2,1,2] i = {5, 7, 1, 2}, float[2] c = {0.5, 0.25}"
    body = "k = DequantizeLinear <axis = 0> (i, c) y = ConvTranspose <strides = [2]> (x, k)"
    unchanged(ExpandTransposedConvolution(), graph("float[1,2,4] x => float[1,1,8] y", body, f"<{integers}>"))


def test_neighbours_in_channels_last_need_one_transpose() -> None:
    body = (
        "a = Conv <pads = [1,1,1,1]> (x, v) b = ConvTranspose <strides = [2,2]> (a, w) "
        "c = Relu (b) y = Conv <pads = [1,1,1,1]> (c, u)"
    )
    shapes = weights(v=(16, 16, 3, 3), w=(16, 16, 2, 2), u=(16, 16, 3, 3))
    before = graph("float[1,16,8,8] x => float[1,16,16,16] y", body, shapes)
    found = kinds(Pipeline(graph_passes("nhwc")).run(before)[0])
    assert found == ["Transpose", "ConvNhwc", "ConvNhwcRelu", "Transpose", "ConvNhwc", "Transpose"]


def test_quantized_network_between_convolutions() -> None:
    g = QuantizedGraph()
    data = g.input(normal(1, 8, 6, 6))
    first = g.quantized(g.node("Conv", [data, g.weights(normal(8, 8, 1, 1, seed=1))]))
    wide = g.node("ConvTranspose", [first, g.weights(normal(8, 4, 2, 2, seed=2), 1)], strides=[2, 2])
    last = g.quantized(g.node("Conv", [g.quantized(wide), g.weights(normal(8, 4, 1, 1, seed=3))]))
    before = g.model(last)
    after = converted(before, "single")
    feeds = generate_inputs(before.inputs, 3)
    np.testing.assert_array_equal(execute(after, list(feeds.values()))[0], Interpreter(after).run(feeds)[0])
