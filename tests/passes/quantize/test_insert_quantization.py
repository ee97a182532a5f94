"""The quantized graph: standard nodes, executable, and fully integer after conversion."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from edgecompile.core.integer import DOMAIN
from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import relative_error, run_model
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.interpreter import Interpreter
from edgecompile.passes.quantize.recipes import RECIPES
from tests.passes.quantize.networks import constants, graph, noise, prepared_cnn
from tests.support.passes import check_types, weights
from tests.support.quantized import converted


def quantized(model: Model, recipe: str = "int8", *keep: str) -> Model:
    return calibrate(model.copy(), noise(model), RECIPES[recipe], keep).quantized()


def float_nodes(model: Model) -> list[str]:
    """Operators that compute with real numbers once everything is converted."""
    result = converted(model, "single")
    plain = (node for node in result.graph.graph if node.domain != DOMAIN)
    return [node.op_type for node in plain if node.outputs[0].dtype == ir.DataType.FLOAT]


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_network_is_close_and_all_integer(recipe: str) -> None:
    model = prepared_cnn()
    result = quantized(model, recipe)
    onnx.checker.check_model(result.to_proto(), full_check=True)
    check_types(result)
    (sample,) = noise(model, 1, seed=9)
    expected, got = run_model(model, sample)[0], run_model(result, sample)[0]
    assert relative_error(expected, got) < 0.1
    # The routine of Softmax is one of 8 bits.
    assert float_nodes(result) == ["DequantizeLinear", *(["Softmax"] if recipe == "int16x8" else [])]


def test_tensors_of_16_bits_have_no_zero_point() -> None:
    model = prepared_cnn()
    result = quantized(model, "int16x8")
    nodes = [node for node in result.graph.graph if node.op_type == "QuantizeLinear"]
    zeros = [constant_of(node.inputs[2]) for node in nodes]
    assert all(zero is not None and zero.dtype == np.int16 and zero == 0 for zero in zeros)
    (sample,) = noise(model, 1, seed=3)
    expected = run_model(model, sample)[0]
    errors = [relative_error(expected, run_model(other, sample)[0]) for other in (result, quantized(model))]
    assert errors[0] < errors[1] / 4


def test_the_integers_are_what_onnxruntime_computes() -> None:
    model = prepared_cnn()
    result = quantized(model)
    for sample in noise(model, 3, seed=5):
        (expected,), (got,) = run_model(result, sample), Interpreter(converted(result, "single")).run(sample)
        assert np.abs(expected - got).max() <= 3 / 256


def test_inputs_and_outputs_keep_their_names() -> None:
    model = prepared_cnn()
    result = quantized(model)
    assert (result.inputs, result.outputs) == (model.inputs, model.outputs)


def test_equal_inputs_give_equal_bytes() -> None:
    model = prepared_cnn()
    assert quantized(model).to_bytes() == quantized(model).to_bytes()


def test_an_input_that_is_an_output_too() -> None:
    model = graph("float[1,4] x => float[1,4] y, float[1,4] z", "y = Relu(x) z = Neg(y)")
    result = quantized(model)
    (sample,) = noise(model, 1)
    for expected, got in zip(run_model(model, sample), run_model(result, sample), strict=True):
        assert relative_error(expected, got) < 0.2


_NEAREST = 'mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"'


@pytest.mark.parametrize(
    ("signature", "body", "text"),
    [
        ("float[1,3,8,8] x => float[1,3,5,5] y",
         "a = Pad(x, p) b = Relu(a) y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(b)",
         constants(p=[0, 0, 1, 1, 0, 0, 1, 1])),
        ("float[1,4,4] x => float[1,4,5] y", "y = MatMul(x, w)", weights(w=(4, 5))),
        ("float[2,3,4] x, float[2,4,3] z => float[2,3,3] y", "y = MatMul(x, z)", ""),
        ("float[1,6] x => float[1,6] y", "a = HardSwish(x) b = Mul(a, x) y = Sub(b, x)", ""),
        ("float[1,6] x => float[1,6] y", "a = Mul(x, c) y = Tanh(a)", constants(c=0.5)),
        ("float[1,4,6,6] x => float[1,4,1,1] y",
         "a = AveragePool<kernel_shape=[2,2]>(x) y = GlobalAveragePool(a)", ""),
        ("float[1,4,6] x => float[1,4] y", "y = ReduceMean<keepdims=0>(x, a)", constants(a=[2])),
        ("float[1,4] x => float[1,12] y", "a = Relu(x) b = Neg(x) y = Concat<axis=1>(a, b, x)", ""),
        ("float[1,2,3,3] x => float[1,4,6,6] y",
         f"a = Conv(x, w) y = Resize<{_NEAREST}>(a, , s)",
         constants(w=np.ones((4, 2, 1, 1)), s=[1.0, 1.0, 2.0, 2.0])),
    ],
)  # fmt: skip
def test_operators_become_integers(signature: str, body: str, text: str) -> None:
    model = graph(signature, body, text)
    result = quantized(model)
    assert set(float_nodes(result)) == {"DequantizeLinear"}
    (sample,) = noise(model, 1)
    assert relative_error(run_model(model, sample)[0], run_model(result, sample)[0]) < 0.1


def test_a_layer_in_float_reads_and_writes_real_numbers() -> None:
    model = prepared_cnn()
    result = quantized(model, "int8", "pointwise")
    assert "ConvNhwc" in float_nodes(result)


def test_constant_channels_and_zeros_have_usable_scales() -> None:
    text = constants(w=np.array([[0.0, 0.0], [1.0, -1.0], [0.0, 0.0]])[:, :, None, None], b=[0.0, 1.0, 1e5])
    model = graph("float[1,2,3,3] x => float[1,3,3,3] y", "y = Conv(x, w, b)", text)
    zeros = [{"x": np.zeros((1, 2, 3, 3), np.float32)}]
    for samples in (zeros, noise(model)):
        result = calibrate(model.copy(), samples, RECIPES["int8"]).quantized()
        for value in result.graph.graph.initializers.values():
            array = value.const_value.numpy()  # type: ignore[union-attr]
            assert np.isfinite(array).all()
            assert not str(value.name).endswith("/scale") or (array > 0).all()
        assert np.isfinite(run_model(result, samples[0])[0]).all()
        assert np.isfinite(Interpreter(converted(result, "single")).run(samples[0])[0]).all()
