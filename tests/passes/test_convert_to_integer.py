"""Every operator that becomes integer: what it becomes, and that it computes what the float graph says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgecompile.core.integer import DOMAIN, ROUNDINGS, Rounding
from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.convert_to_integer import ConvertToInteger
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import generate_inputs, run_model
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.operators import normal
from tests.support.quantized import QuantizedGraph, as_model, converted, one_operator, quantize

Array = np.ndarray

X = normal(1, 8, 9, 9)
MATRIX = normal(5, 24)


def conv(dtype: str) -> Model:
    weights = normal(16, 8, 3, 3, seed=1) * 0.1
    return one_operator(
        "Conv", [X, weights, normal(16)], dtype, {1: 0}, [2], "Relu", pads=[1, 1, 1, 1], strides=[2, 2]
    )


def conv_per_tensor(dtype: str) -> Model:
    return one_operator("Conv", [X, normal(4, 8, 1, 1, seed=1)], dtype, {1: None})


def conv_groups(dtype: str) -> Model:
    weights = normal(6, 4, 3, 3, seed=1)
    return one_operator("Conv", [X, weights], dtype, {1: 0}, group=2, dilations=[2, 2])


def conv_of_signal(dtype: str) -> Model:
    return one_operator("Conv", [normal(2, 3, 30), normal(5, 3, 7, seed=1)], dtype, {1: 0}, pads=[3, 3])


def depthwise(dtype: str) -> Model:
    weights = normal(8, 1, 3, 3, seed=1)
    return one_operator("Conv", [X, weights, normal(8)], dtype, {1: 0}, [2], group=8, pads=[1, 1, 1, 1])


def gemm(dtype: str) -> Model:
    return one_operator("Gemm", [MATRIX, normal(7, 24, seed=1), normal(7)], dtype, {1: 0}, [2], transB=1)


def gemm_relu(dtype: str) -> Model:
    return one_operator("Gemm", [MATRIX, normal(24, 7, seed=1), normal(7)], dtype, {1: 1}, [2], "Relu")


def matmul(dtype: str) -> Model:
    return one_operator("MatMul", [normal(2, 5, 24), normal(24, 6, seed=1)], dtype, {1: 1})


def matmul_of_activations(dtype: str) -> Model:
    return one_operator("MatMul", [normal(2, 3, 5, 8), normal(2, 3, 8, 6, seed=1)], dtype)


def add(dtype: str) -> Model:
    return one_operator("Add", [X, normal(1, 8, 9, 9, seed=1) * 3], dtype, activation="Relu")


def add_broadcast(dtype: str) -> Model:
    return one_operator("Add", [X, normal(8, 1, 1, seed=1)], dtype)


def add_constant(dtype: str) -> Model:
    return one_operator("Add", [X, normal(8, 1, 1, seed=1)], dtype, constants=[1])


def sub(dtype: str) -> Model:
    return one_operator("Sub", [X, normal(1, 8, 9, 9, seed=1)], dtype)


def mul(dtype: str) -> Model:
    return one_operator("Mul", [X, normal(1, 8, 1, 1, seed=1)], dtype)


def scaled(dtype: str) -> Model:
    return one_operator("Mul", [X, np.asarray(0.37, np.float32)], dtype, constants=[1])


def average_pool(dtype: str) -> Model:
    return one_operator("AveragePool", [X], dtype, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])


def average_pool_with_pads(dtype: str) -> Model:
    return one_operator(
        "AveragePool", [X], dtype, kernel_shape=[2, 3], pads=[0, 1, 1, 1], count_include_pad=1
    )


def global_average_pool(dtype: str) -> Model:
    return one_operator("GlobalAveragePool", [X], dtype)


def reduce_mean(dtype: str) -> Model:
    return one_operator("ReduceMean", [X, np.array([1, -1])], dtype, constants=[1], keepdims=0)


def resized(dtype: str, data: Array, factors: list[float], coordinates: str) -> Model:
    tail = [np.zeros(0, np.float32), np.array(factors, np.float32)]
    return one_operator(
        "Resize",
        [data, *tail],
        dtype,
        constants=[1, 2],
        mode="linear",
        coordinate_transformation_mode=coordinates,
    )


def resize(dtype: str) -> Model:
    return resized(dtype, X, [1, 1, 2.25, 0.75], "half_pixel")


def resize_of_signal(dtype: str) -> Model:
    return resized(dtype, normal(2, 3, 30), [1, 1, 1.6], "asymmetric")


def resize_of_volume(dtype: str) -> Model:
    return resized(dtype, normal(1, 2, 3, 4, 5), [1, 1, 2, 2, 2], "pytorch_half_pixel")


def softmax(dtype: str) -> Model:
    return one_operator("Softmax", [MATRIX * 2], dtype)


def softmax_of_channels(dtype: str) -> Model:
    return one_operator("Softmax", [X * 2], dtype, axis=1)


def unary(op_type: str) -> Callable[[str], Model]:
    return lambda dtype: one_operator(op_type, [MATRIX * 2], dtype)


def clip(dtype: str) -> Model:
    bounds = [np.asarray(bound, np.float32) for bound in (-0.5, 1.0)]
    return one_operator("Clip", [MATRIX, *bounds], dtype, constants=[1, 2])


def requantized(dtype: str) -> Model:
    graph = QuantizedGraph(dtype)
    return graph.model(graph.quantized(graph.input(MATRIX), like=MATRIX * 0.8))


CASES: dict[Callable[[str], Model], list[str]] = {
    conv: ["ConvNhwc"],
    conv_per_tensor: ["ConvNhwc"],
    conv_groups: ["ConvNhwc"],
    conv_of_signal: ["Conv"],
    depthwise: ["ConvNhwc"],
    gemm: ["Gemm"],
    gemm_relu: ["Gemm"],
    matmul: ["Gemm"],
    matmul_of_activations: ["MatMul"],
    add: ["Add"],
    add_broadcast: ["Add"],
    add_constant: ["Add"],
    sub: ["Sub"],
    mul: ["Mul"],
    scaled: ["Table"],
    average_pool: ["AveragePoolNhwc"],
    average_pool_with_pads: ["AveragePoolNhwc"],
    global_average_pool: ["GlobalAveragePool"],
    reduce_mean: ["ReduceMean"],
    resize: ["ResizeLinear"],
    resize_of_signal: ["ResizeLinear"],
    resize_of_volume: ["ResizeLinear"],
    softmax: ["Softmax"],
    softmax_of_channels: ["Softmax"],
    unary("Sigmoid"): ["Table"],
    unary("HardSwish"): ["Table"],
    unary("Relu"): ["Requantize"],
    clip: ["Requantize"],
    requantized: ["Requantize"],
}


def integer_operators(model: Model) -> list[str]:
    return [node.op_type.removesuffix("Nhwc") for node in model.graph.graph if node.domain == DOMAIN]


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__qualname__)
def test_operator_agrees_with_the_float_graph(
    case: Callable[[str], Model], dtype: str, rounding: Rounding
) -> None:
    before = case(dtype)
    after = converted(before, rounding, dtype)
    assert integer_operators(after) == [name.removesuffix("Nhwc") for name in CASES[case]]
    assert not [note for note in after.notes if "in float" in note]
    feeds = [generate_inputs(before.inputs, seed) for seed in range(4)]
    expected = np.stack([run_model(before, feed)[0] for feed in feeds])
    got = np.stack([Interpreter(after).run(feed)[0] for feed in feeds])
    scale = min(abs(a - b) for a in set(expected.ravel()) for b in set(expected.ravel()) if a != b)
    steps = np.rint(np.abs(got - expected) / scale)
    assert np.mean(steps <= 1) >= 0.999
    assert np.mean(steps > 0) <= 0.1


def test_the_two_types_mean_the_same_numbers() -> None:
    model = conv("int8")
    feed = generate_inputs(model.inputs, 0)
    signed, unsigned = (
        Interpreter(converted(model, "single", dtype)).run(feed)[0] for dtype in ("int8", "uint8")
    )
    np.testing.assert_array_equal(signed, unsigned)


def test_a_window_on_everything_is_averaged_like_any_other() -> None:
    model = one_operator("AveragePool", [X], kernel_shape=[9, 9])
    assert integer_operators(converted(model, "double")) == ["AveragePool"]


def test_the_model_file_says_how_it_was_rounded() -> None:
    after = converted(gemm("int8"), "double")
    assert after.graph.metadata_props["edgecompile.rounding"] == "double"
    assert [node.attributes["rounding"].value for node in after.graph.graph if node.domain] == ["double"]


def test_layers_keep_their_names() -> None:
    model = gemm_relu("int8")
    (name,) = (node.name for node in model.graph.graph if node.op_type == "Gemm")
    (node,) = (node for node in converted(model, "single").graph.graph if node.domain == DOMAIN)
    assert node.name == name


def test_stored_bias_is_taken_as_it_is() -> None:
    after = converted(as_model(quantize(_dense())), "single")
    (node,) = (node for node in after.graph.graph if node.op_type == "Gemm")
    weights, bias = (constant_of(node.inputs[i]) for i in (1, 2))
    assert weights is not None
    assert bias is not None
    unfolded = bias + node.attributes["x_zero"].value * weights.astype(np.int64).sum(1)
    before = as_model(quantize(_dense())).graph.graph.initializers["b_quantized"]
    np.testing.assert_array_equal(unfolded, constant_of(before))


def _dense() -> onnx.ModelProto:
    weights = [numpy_helper.from_array(normal(6, 3), "w"), numpy_helper.from_array(normal(3), "b")]
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"], "dense")]
    described = [helper.make_tensor_value_info(n, 1, shape) for n, shape in (("x", [2, 6]), ("y", [2, 3]))]
    graph = helper.make_graph(nodes, "dense", described[:1], described[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_what_stays_float_is_said() -> None:
    graph = QuantizedGraph()
    cubed = graph.node("Einsum", [graph.input(MATRIX), graph.weights(normal(24, 2), 1)], equation="ij,jk->ik")
    after = converted(graph.model(graph.quantized(graph.node("Relu", [graph.quantized(cubed)]))), "single")
    islands = [note for note in after.notes if "in float" in note]
    assert islands == ["Einsum3 (Einsum) is computed in float: there is no integer operator for it"]


@pytest.mark.parametrize(
    ("integers", "zero", "why"),
    [
        (np.array([[-128], [1]], np.int8), np.int8(0), "outside of [-127, 127]"),
        (np.array([[0], [255]], np.uint8), np.uint8(100), "outside of [-127, 127]"),
        (np.array([[1], [255]], np.uint8), np.uint8(128), ""),
    ],
)
def test_weights_of_other_ranges(integers: Array, zero: np.generic, why: str) -> None:
    graph = QuantizedGraph()
    factors = [graph.constant(a) for a in (integers, np.float32(0.01), zero)]
    graph.nodes.append(helper.make_node("DequantizeLinear", factors, ["w"], "w"))
    graph.values["w"] = ((integers.astype(np.int64) - int(zero)) * np.float32(0.01)).astype(np.float32)
    result = graph.node("Gemm", [graph.input(normal(3, 2)), "w"])
    after = converted(graph.model(graph.quantized(result)), "single")
    assert integer_operators(after) == ([] if why else ["Gemm"])
    islands = [note for note in after.notes if "in float" in note]
    assert [why in note for note in islands] == [True] * bool(why)


def test_a_sum_that_could_overflow_is_refused() -> None:
    graph = QuantizedGraph()
    bias = [graph.constant(a) for a in (np.array([2**31 - 1], np.int32), np.float32(1e-9))]
    graph.nodes.append(helper.make_node("DequantizeLinear", bias, ["b"], "b"))
    graph.values["b"] = np.array([2.0], np.float32)
    x = graph.input(normal(3, 2) * 1e-4)
    result = graph.node("Gemm", [x, graph.weights(normal(2, 1) * 1e-3, 1), "b"])
    with pytest.raises(UnsupportedError, match=r"EC4030.*could overflow.*Gemm.*channel 0 can reach"):
        converted(graph.model(graph.quantized(result)), "single")


def test_a_sum_that_leaves_64_bits_is_refused() -> None:
    graph = QuantizedGraph("int16")
    x = graph.input(normal(3, 2) * 1e-12)
    bias = graph.constant(np.array([1.0], np.float32))
    result = graph.node("Gemm", [x, graph.weights(normal(2, 1) * 1e-12, 1), bias])
    with pytest.raises(UnsupportedError, match=r"EC4371.*64 bits could overflow.*Gemm.*channel 0 can reach"):
        converted(graph.model(graph.quantized(result)), "single", "int16")


def test_a_bias_beyond_32_bits_makes_sums_of_64() -> None:
    graph = QuantizedGraph("int16")
    x = graph.input(normal(3, 2) * 1e-4)
    bias = graph.constant(np.array([1.0, 1e-3], np.float32))
    result = graph.quantized(graph.node("Gemm", [x, graph.weights(normal(2, 2) * 1e-4, 1), bias]))
    before = graph.model(result)
    after = converted(before, "single", "int16")
    (gemm,) = [node for node in after.graph.graph if node.domain == DOMAIN]
    stored = constant_of(gemm.inputs[2])
    assert stored is not None
    assert stored.dtype == np.int64
    assert gemm.attributes["sum_shift"].value > 0
    feed = generate_inputs(before.inputs, 0)
    (want,), (got,) = run_model(before, feed), Interpreter(after).run(feed)
    np.testing.assert_allclose(got, want, atol=2e-4)


@pytest.mark.parametrize("op_type", ["Sigmoid", "Tanh", "HardSwish", "Gelu", "LeakyRelu", "Abs", "Erf"])
def test_functions_of_16_bits_are_lines_between_table_entries(op_type: str) -> None:
    before = one_operator(op_type, [normal(4, 50) * 3], "int16")
    after = converted(before, "float", "int16")
    assert integer_operators(after) == ["Table"]
    feed = generate_inputs(before.inputs, 0)
    (want,), (got,) = run_model(before, feed), Interpreter(after).run(feed)
    np.testing.assert_allclose(got, want, atol=32 * np.abs(want).max() / 32767 + 2e-3 * np.abs(want).max())


@pytest.mark.parametrize(
    ("op_type", "why"),
    [("Reciprocal", "it bends too much"), ("Softmax", "the routine for it is one of 8 bits")],
)
def test_what_16_bits_have_no_operator_for_stays_float(op_type: str, why: str) -> None:
    after = converted(one_operator(op_type, [normal(4, 50)], "int16"), "float", "int16")
    assert integer_operators(after) == []
    assert [why in note for note in after.notes if "in float" in note] == [True]


def test_16_bits_with_a_zero_point_stay_float() -> None:
    graph = QuantizedGraph("int16")
    name = graph.quantized(graph.node("Relu", [graph.input(normal(2, 6))]))
    for index in (1, 3):
        graph.constants[index].CopyFrom(numpy_helper.from_array(np.asarray(5, np.int16), f"c{index}"))
    after = converted(graph.model(name), "float", "int16")
    assert integer_operators(after) == []


def test_a_float_network_is_left_alone() -> None:
    before = as_model(_dense())
    assert not ConvertToInteger("single")(before).modified
