"""Weights, biases, and the correction of means."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import run_model
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.constants import mean_shift
from edgecompile.passes.quantize.recipes import RECIPES
from tests.passes.quantize.networks import constants, graph, noise
from tests.support.passes import node_of, weights


@pytest.mark.parametrize(
    ("signature", "body", "shape"),
    [
        ("float[1,4,3,3] x => float[1,6,2,2] y", "y = Conv<group=2>(x, w)", (6, 2, 2, 2)),
        ("float[1,4] x => float[1,6] y", "y = Gemm(x, w)", (4, 6)),
        ("float[1,4] x => float[1,6] y", "y = Gemm<transB=1>(x, w)", (6, 4)),
    ],
)
def test_the_shift_of_means_is_what_execution_shows(
    signature: str, body: str, shape: tuple[int, ...]
) -> None:
    """For inputs that are constant within a channel."""
    error = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    model = graph(signature, body, constants(w=error))
    mean = np.arange(1.0, 5.0)
    data = np.broadcast_to(
        mean.reshape(1, 4, *(1,) * (len(model.inputs[0].shape) - 2)), model.inputs[0].shape
    )
    (result,) = run_model(model, {"x": data.astype(np.float32)})
    node = next(iter(model.graph.graph))
    found = mean_shift(node, error, error, mean)
    np.testing.assert_allclose(found, result.reshape(result.shape[1], -1)[:, 0], rtol=1e-4)


def test_corrected_biases_bring_means_back() -> None:
    """Weights with one scale for all, most of them far below its step."""
    generator = np.random.default_rng(1)
    weights = generator.standard_normal((8, 16, 1, 1)) * np.logspace(0, -2.5, 8)[:, None, None, None]
    model = graph("float[1,16,4,4] x => float[1,8,4,4] y", "y = Conv(x, w)", constants(w=weights))
    samples = [{"x": sample["x"] + 2} for sample in noise(model, 8)]
    recipe = dataclasses.replace(RECIPES["int8-per-tensor"], equalize=False)

    def shift(correct: bool) -> float:
        chosen = dataclasses.replace(recipe, correct_bias=correct)
        result = calibrate(model.copy(), samples, chosen).quantized()
        off = [run_model(result, s)[0] - run_model(model, s)[0] for s in samples]
        return float(np.abs(np.mean(off, axis=(0, 1, 3, 4))).max())

    assert shift(correct=True) < 0.5 * shift(correct=False)


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_weights_are_symmetric_in_the_layout_of_the_recipe(recipe: str) -> None:
    model = graph("float[1,2,4,4] x => float[1,3,4,4] y", "y = Conv(x, w)", weights(w=(3, 2, 1, 1)))
    result = calibrate(model, noise(model), RECIPES[recipe]).quantized()
    read = node_of(result, "Conv").inputs[1].producer()  # type: ignore[union-attr]
    assert read is not None
    integers, scales = (constant_of(value) for value in read.inputs)
    assert integers is not None
    assert scales is not None
    assert integers.dtype == np.int8
    assert integers.min() >= -127
    assert scales.shape == ((3,) if RECIPES[recipe].per_channel else ())
