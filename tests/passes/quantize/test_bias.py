"""Where biases are, and linear layers of sequences as one contraction."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx_ir as ir
import pytest

from edgecompile.core.integer import DOMAIN
from edgecompile.core.model import Model
from edgecompile.passes.edit import add_initializer, constant_of
from edgecompile.passes.prove import run_model
from edgecompile.passes.quantize.bias import added_bias, bias_place, constant_bias, product_of
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.interpreter import Interpreter
from edgecompile.passes.quantize.plan import make_plan
from edgecompile.passes.quantize.recipes import RECIPES
from tests.passes.quantize.networks import constants, graph, noise
from tests.support.passes import node_of, weights
from tests.support.quantized import converted

_SIGNATURE = "float[1,5,4] x => float[1,5,3] y"


def linear(body: str = "p = MatMul(x, w) y = Add(p, b)", bias: tuple[int, ...] = (3,)) -> Model:
    return graph(_SIGNATURE, body, weights(w=(4, 3), b=bias))


@pytest.mark.parametrize("body", ["p = MatMul(x, w) y = Add(p, b)", "p = MatMul(x, w) y = Add(b, p)"])
@pytest.mark.parametrize("shape", [(3,), (1, 3), (1, 1, 3)])
def test_the_add_behind_a_product_is_its_bias(body: str, shape: tuple[int, ...]) -> None:
    model = linear(body, shape)
    product, add = node_of(model, "MatMul"), node_of(model, "Add")
    assert added_bias(product) is add
    assert product_of(add) is product
    place = bias_place(product)
    assert place is not None
    assert place[0].inputs[place[1]].name == "b"  # type: ignore[union-attr]
    bias = constant_bias(product)
    assert bias is not None
    assert bias.shape == (3,)


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("p = MatMul(x, w) y = Add(p, b)", (5, 3)),
        ("p = MatMul(x, w) y = Add(p, b)", (5, 1)),
        ("p = MatMul(x, w) y = Add(p, b)", ()),
        ("p = MatMul(x, w) q = Add(p, b) y = Mul(p, q)", (3,)),
        ("p = MatMul(x, w) y = Add(p, p)", (3,)),
    ],
)
def test_other_sums_are_no_bias(body: str, shape: tuple[int, ...]) -> None:
    product = node_of(linear(body, shape), "MatMul")
    assert added_bias(product) is None
    assert bias_place(product) is None
    assert constant_bias(product) is None


def test_a_convolution_without_bias_has_a_place_for_one() -> None:
    node = node_of(graph("float[1,2,4] x => float[1,3,4] y", "y = Conv(x, w)", weights(w=(3, 2, 1))), "Conv")
    assert bias_place(node) == (node, 2)
    assert constant_bias(node) is None


def test_nothing_is_stored_between_product_and_bias() -> None:
    model = linear("p = MatMul(x, w) s = Add(p, b) y = Relu(s)")
    assert [{v.name for v in group.values} for group in make_plan(model.graph.graph).groups] == [{"x"}, {"y"}]


def test_a_product_in_float_takes_its_bias_along() -> None:
    model = linear()
    product = str(node_of(model, "MatMul").name)
    assert make_plan(model.graph.graph, [product]).nodes == ()


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("tail", ["y = Add(p, b)", "s = Add(b, p) y = Relu(s)"])
def test_a_linear_layer_is_one_integer_operator(tail: str, dtype: str) -> None:
    model = linear(f"p = MatMul(x, w) {tail}")
    result = calibrate(model.copy(), noise(model, 20), RECIPES["int8"]).quantized()
    integer = converted(result, "single", dtype)
    assert [n.op_type for n in integer.graph.graph if n.domain == DOMAIN] == ["Gemm"]
    floats = [n for n in integer.graph.graph if n.outputs[0].dtype == ir.DataType.FLOAT]
    assert [n.op_type for n in floats] == ["DequantizeLinear"]
    (step,) = (float(constant_of(n.inputs[1])) for n in floats)  # type: ignore[arg-type]
    samples = noise(model, 20, seed=3)
    exact, expected = (np.stack([run_model(m, sample)[0] for sample in samples]) for m in (model, result))
    got = np.stack([Interpreter(integer).run(sample)[0] for sample in samples])
    assert np.abs(got - expected).max() <= 1.01 * step
    assert np.abs(exact - expected).max() < 0.05 * np.abs(exact).max()


def test_the_bias_of_an_imported_product_may_be_float() -> None:
    """As quantizers write it that only know of weights: the sum in float, rounded once into the product."""
    model = linear()
    result = calibrate(model.copy(), noise(model, 20), RECIPES["int8"]).quantized()
    bias = constant_bias(node_of(model, "MatMul"))
    assert bias is not None
    node_of(result, "Add").replace_input_with(1, add_initializer(result.graph.graph, "real", bias))
    integer = converted(result, "single")
    assert [n.op_type for n in integer.graph.graph if n.domain == DOMAIN] == ["Gemm"]
    (sample,) = noise(model, 1, seed=3)
    (expected,), (got,) = run_model(result, sample), Interpreter(integer).run(sample)
    assert np.abs(got - expected).max() < 0.02 * np.abs(expected).max()


def test_means_are_corrected_on_the_last_axis() -> None:
    generator = np.random.default_rng(1)
    matrix = generator.standard_normal((16, 8)) * np.logspace(0, -2.5, 8)
    text = constants(w=matrix, b=np.zeros(8))
    model = graph("float[1,6,16] x => float[1,6,8] y", "p = MatMul(x, w) y = Add(p, b)", text)
    samples = [{"x": sample["x"] + np.linspace(0, 4, 16, dtype=np.float32)} for sample in noise(model, 30)]

    def shift(correct: bool) -> float:
        recipe = dataclasses.replace(RECIPES["int8-per-tensor"], correct_bias=correct)
        result = calibrate(model.copy(), samples, recipe).quantized()
        off = [run_model(result, s)[0] - run_model(model, s)[0] for s in samples]
        return float(np.abs(np.mean(off, axis=(0, 1, 2))).max())

    assert shift(correct=True) < 0.5 * shift(correct=False)
