"""Factors of inputs, and where they go."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.passes.quantize.awq import choose_factors, places_to_divide
from edgecompile.passes.quantize.gptq import Curvature, gptq
from tests.passes.quantize.networks import constants, graph
from tests.support.matrix_networks import Array, decibels

_SHAPES = "float[1,2,4] x => float[1,2,3] y"
_WEIGHTS = constants(
    g=np.ones(4), b=np.ones(4), one=np.ones(()), w=np.ones((4, 4)), v=np.ones((4, 3)), t=np.ones((2, 1))
)


def outliers(count: int, seed: int, inputs: int = 96) -> Array:
    """Rows whose every eighth channel is 20 times as wide as others."""
    rows = np.random.default_rng(seed).standard_normal((count, inputs))
    return np.asarray(
        np.where(np.arange(inputs) % 8 == 0, 20.0, 1.0) * (rows + rows.mean(axis=1, keepdims=True))
    )


def test_outliers_get_factors_that_help() -> None:
    weights = np.random.default_rng(0).standard_normal((96, 48))
    seen, rows = outliers(500, 1), outliers(500, 2)
    curvature = Curvature.of(seen.T @ seen)
    factors = choose_factors([weights], [curvature], 32)
    assert factors is not None
    assert factors[0] > factors[1]
    scaled = gptq(weights, [curvature], 32, factors)[0].dequantized() / factors[:, None]
    plain = gptq(weights, [curvature], 32)[0].dequantized()
    assert decibels(rows @ weights, rows @ scaled) > decibels(rows @ weights, rows @ plain) + 0.5


def test_inputs_alike_get_none() -> None:
    weights = np.random.default_rng(0).standard_normal((64, 8))
    assert choose_factors([weights], [Curvature.of(3 * np.eye(64))], 32) is None


def test_factors_are_positive_and_bounded() -> None:
    rows = outliers(500, 1) * np.where(np.arange(96) == 8, 1e30, 1.0)
    rows[:, 5] = 0
    weights = np.random.default_rng(0).standard_normal((96, 8))
    weights[8] = 0
    factors = choose_factors([weights], [Curvature.of(rows.T @ rows)], 32)
    assert factors is not None
    assert factors[5] == 1
    assert 1 / 64.001 < factors.min() <= factors.max() < 64.001


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (
            "n = LayerNormalization(x, g, b) y = MatMul(n, v)",
            [("LayerNormalization", 1), ("LayerNormalization", 2)],
        ),
        ("n = RMSNormalization(x, g) y = MatMul(n, v)", [("RMSNormalization", 1)]),
        ("n = Mul(x, g) y = MatMul(n, v)", [("Mul", 1)]),
        ("n = Mul(one, x) y = MatMul(n, v)", [("Mul", 0)]),
        ("a = MatMul(x, w) n = Relu(a) y = MatMul(n, v)", [("MatMul", 1)]),
        ("a = MatMul(x, w) c = Add(b, a) n = LeakyRelu(c) y = MatMul(n, v)", [("Add", 0), ("MatMul", 1)]),
        ("a = MatMul(x, w) s = Sigmoid(x) n = Mul(s, a) y = MatMul(n, v)", [("MatMul", 1)]),
        ("a = MatMul(x, w) s = Softmax(x) n = Div(a, s) y = MatMul(n, v)", [("MatMul", 1)]),
    ],
)
def test_constants_in_front_of_a_layer_are_found(body: str, places: list[tuple[str, int]]) -> None:
    model = graph(_SHAPES, body, _WEIGHTS)
    *_, layer = model.graph.graph
    assert layer.inputs[0] is not None
    found = places_to_divide(layer.inputs[0], [layer])
    assert [(node.op_type, index) for node, index in found or ()] == places


@pytest.mark.parametrize(
    "body",
    [
        "y = MatMul(x, v)",
        "a = MatMul(x, w) n = Sigmoid(a) y = MatMul(n, v)",
        "n = Mul(x, t) y = MatMul(n, v)",
        "n = Mul(x, x) y = MatMul(n, v)",
        "n = Add(x, b) y = MatMul(n, v)",
        "n = LayerNormalization<axis=1>(x, u) y = MatMul(n, v)",
        "a = Mul(x, g) m = Relu(a) n = Add(m, a) y = MatMul(n, v)",
        "n = Mul(x, g) z = Relu(n) m = MatMul(n, v) q = MatMul(z, v) y = Add(m, q)",
    ],
)
def test_what_others_read_or_does_not_commute_is_left_alone(body: str) -> None:
    weights = _WEIGHTS.replace("<", f"{constants(u=np.ones((2, 4)))[:-1]}, ", 1)
    model = graph(_SHAPES, body, weights)
    layer = next(
        n for n in model.graph.graph if n.op_type == "MatMul" and "v" in [i.name for i in n.inputs if i]
    )
    assert layer.inputs[0] is not None
    assert places_to_divide(layer.inputs[0], [layer]) is None
