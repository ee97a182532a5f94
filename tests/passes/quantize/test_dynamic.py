from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import generate_inputs, relative_error, run_model
from edgecompile.passes.quantize.dynamic import quantize_dynamically
from edgecompile.passes.quantize.recipes import find_recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from tests.support.passes import check_types, graph, kinds, node_of, weights

_ROWS = "float[2,5,64] x => float[2,5,48] y"
_CHAIN = ["DynamicQuantizeLinear", "MatMulInteger", "Cast", "Mul", "Mul"]


def quantized(model: Model, *keep_float: str) -> Rewritten:
    recipe = find_recipe("dynamic-int8")
    return quantize_dynamically(model, None, recipe, keep_float, lambda task, done, total: None)


def difference(before: Model, after: Model) -> float:
    feed = generate_inputs(before.inputs, 0)
    return relative_error(run_model(before, feed)[0], run_model(after, feed)[0])


@pytest.mark.parametrize(
    ("signature", "body", "constants", "more"),
    [
        (_ROWS, "y = MatMul(x, w)", {"w": (64, 48)}, []),
        ("float[5,64] x => float[5,48] y", "y = Gemm(x, w, b)", {"w": (64, 48), "b": (48,)}, ["Add"]),
        ("float[5,64] x => float[5,48] y", "y = Gemm(x, w)", {"w": (64, 48)}, []),
    ],
)
def test_products_are_quantized(
    signature: str, body: str, constants: dict[str, Any], more: list[str]
) -> None:
    before = graph(signature, body, weights(**constants))
    reference, name = before.copy(), node_of(before, body.split()[2].split("(")[0]).name
    result = quantized(before)
    assert kinds(before) == kinds(reference)
    assert kinds(result.model) == [*_CHAIN, *more]
    assert result.layers == (name,)
    assert result.model.graph.graph[-1].name == name
    check_types(result.model)
    assert 0 < difference(reference, result.model) < 0.02


@pytest.mark.parametrize("bias", ["", ", b"])
def test_convolutions_are_quantized(bias: str) -> None:
    body = f"y = Conv <pads = [1, 1, 1, 1], strides = [2, 1], group = 2> (x, w{bias})"
    before = graph("float[1,16,9,8] x => float[1,48,5,8] y", body, weights(w=(48, 8, 3, 3), b=(48,)))
    reference = before.copy()
    after = quantized(before).model
    chain = ["DynamicQuantizeLinear", "ConvInteger", "Cast", "Mul", "Mul"]
    assert kinds(after) == [*chain, *(["Add"] if bias else [])]
    check_types(after)
    assert 0 < difference(reference, after) < 0.02


def test_weights_have_a_scale_a_column_and_no_zero_point() -> None:
    before = graph(_ROWS, "y = MatMul(x, w)", weights(w=(64, 48)))
    real = constant_of(node_of(before, "MatMul").inputs[1])
    after = quantized(before).model
    product = node_of(after, "MatMulInteger")
    integers = constant_of(product.inputs[1])
    scales = constant_of(after.graph.graph.initializers["w/scales"])
    assert real is not None
    assert integers is not None
    assert scales is not None
    assert len(product.inputs) == 3
    np.testing.assert_array_equal(np.abs(integers).max(axis=0), np.full(48, 127))
    assert (np.abs(integers * scales - real) <= scales * 0.501).all()


def test_products_of_one_tensor_share_its_integers_and_tied_weights_are_stored_once() -> None:
    body = "q = MatMul(x, w) k = MatMul(x, v) r = Relu(x) o = MatMul(r, w) s = Add(q, k) y = Add(s, o)"
    result = quantized(graph(_ROWS, body, weights(w=(64, 48), v=(64, 48))))
    assert kinds(result.model).count("DynamicQuantizeLinear") == 2
    assert len(result.layers) == 3
    constants = result.model.graph.graph.initializers.values()
    stored = [value for value in constants if value.dtype == ir.DataType.INT8]
    assert len(stored) == 2


def test_what_stays_float_is_listed() -> None:
    body = """
        c = Conv(i, f) r = Reshape(c, shape) h = MatMul(r, w)
        narrow = MatMul(h, n) many = MatMul(h, batched) both = MatMul(h, h)
        left = ReduceSum(narrow) right = ReduceSum(many) more = ReduceSum(both)
        t = Add(left, right) y = Add(t, more)
    """
    text = weights(f=(4, 1, 3, 3), w=(64, 64), n=(64, 10), batched=(1, 64, 64))
    text = text[:-1] + ", int64[3] shape = {1, 64, 64}>"
    result = quantized(graph("float[1,1,34,34] i => float[1,1,1] y", body, text))
    assert result.layers == ("MatMul_2",)
    reasons = [note.split(" stays float: ") for note in result.model.notes]
    assert reasons == [
        ["Conv_0 (Conv)", "with sums of 9 products, and 31 products a number, it would not get faster"],
        ["MatMul_3 (MatMul)", "with sums of 64 products, and 10 products a number, it would not get faster"],
        ["MatMul_4 (MatMul)", "it is no product by a matrix, and no convolution of an image"],
    ]


def test_a_layer_is_kept_float() -> None:
    body = "h = MatMul(x, w) y = MatMul(h, v)"
    before = graph("float[2,5,64] x => float[2,5,64] y", body, weights(w=(64, 48), v=(48, 64)))
    result = quantized(before, "MatMul_0")
    assert result.layers == ("MatMul_1",)
    assert kinds(result.model) == ["MatMul", *_CHAIN]


def test_nothing_to_quantize_is_an_error() -> None:
    with pytest.raises(UnsupportedError) as caught:
        quantized(graph("float[4] x => float[4] y", "y = Relu(x)"))
    assert "error[EC4381] there is no layer to quantize dynamically" in str(caught.value)
    assert "no MatMul, Gemm or Conv has constant weights" in str(caught.value)
    with pytest.raises(UnsupportedError, match=r"EC4381.*\(MatMul\) stays float: with sums of 8 products"):
        quantized(graph("float[2,8] x => float[2,4] y", "y = MatMul(x, w)", weights(w=(8, 4))))
