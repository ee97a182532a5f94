"""Weights in 8 bits, and palettes of 16."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.edit import constant_of
from edgecompile.passes.quantize.recipes import find_recipe
from edgecompile.passes.quantize.rewrites import REWRITES
from edgecompile.passes.quantize.small_weights import palette
from tests.support.graphs import model, operators
from tests.support.operators import node_model, normal
from tests.support.quantized import as_model


def rewritten(network: Model, recipe: str, keep_float: tuple[str, ...] = ()) -> tuple[Model, tuple[str, ...]]:
    chosen = find_recipe(recipe)
    found = REWRITES[chosen.method](network, None, chosen, keep_float, lambda task, done, total: None)
    return found.model, found.layers


@pytest.mark.parametrize(
    ("op_type", "shape", "axis", "attributes"),
    [
        ("Conv", (8, 4, 3, 3), 0, {}),
        ("ConvTranspose", (4, 8, 3, 3), 1, {}),
        ("Gemm", (32, 16), 1, {}),
        ("Gemm", (16, 32), 0, {"transB": 1}),
        ("MatMul", (32, 16), 1, {}),
    ],
)
def test_every_output_has_a_scale(
    op_type: str, shape: tuple[int, ...], axis: int, attributes: dict[str, int]
) -> None:
    x = normal(1, 4, 6, 6) if len(shape) == 4 else normal(2, 32)
    network = as_model(node_model(op_type, [x, normal(*shape, seed=1)], constants=(1,), **attributes))  # type: ignore[arg-type]
    before = constant_of(network.graph.graph.initializers["x1"])
    assert before is not None
    result, layers = rewritten(network, "int8w")
    assert layers == ("node",)
    assert operators(result) == ["DequantizeLinear", op_type]
    (node, _) = result.graph.graph
    assert node.attributes.get_int("axis") == axis
    integers, scales = (constant_of(value) for value in node.inputs)
    assert integers is not None
    assert scales is not None
    assert integers.dtype == np.int8
    shaped = scales.reshape([-1 if at == axis else 1 for at in range(len(shape))])
    assert np.all(np.abs(integers * shaped - before) <= shaped / 2 * 1.001)
    assert operators(network) == [op_type]


def test_a_palette_has_sixteen_numbers_of_float16() -> None:
    weights = normal(16, 64, seed=3)
    network = as_model(node_model("MatMul", [normal(2, 16), weights], constants=(1,)))
    result, layers = rewritten(network, "palette4")
    assert layers == ("node",)
    before, after = (constant_of(one.graph.graph.initializers["x1"]) for one in (network, result))
    np.testing.assert_array_equal(before, weights)
    assert after is not None
    assert len(np.unique(after)) == 16
    np.testing.assert_array_equal(after, after.astype(np.float16))
    # 16 levels for a normal distribution: 20.2 dB (Max, Quantizing for minimum distortion, 1960).
    noise = 10 * np.log10(np.mean(weights**2) / np.mean((after - weights) ** 2))
    assert noise > 19.5


def test_few_numbers_are_their_own_palette() -> None:
    weights = np.repeat(np.array([-2, 0, 0.5], np.float32), 40)
    colours = palette(weights, 16)
    nearest = colours[np.abs(weights[:, None] - colours).argmin(1)]
    np.testing.assert_array_equal(nearest, weights)


@pytest.mark.parametrize("recipe", ["int8w", "palette4"])
def test_nothing_to_store(recipe: str) -> None:
    network = as_model(node_model("MatMul", [normal(2, 16), normal(16, 64)], constants=(1,)))
    with pytest.raises(UnsupportedError, match=r"EC4602.*no weights to store.*256 elements"):
        rewritten(network, recipe, keep_float=("node",))
    with pytest.raises(UnsupportedError, match="EC4602"):
        rewritten(model("agraph (float[2] x) => (float[2] y) { y = Relu(x) }"), recipe)
