"""One observation serves every choice of layers in float."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from edgecompile.core.model import Model
from edgecompile.passes.quantize.calibrate import calibrate, decide, observe_tensors
from edgecompile.passes.quantize.recipes import RECIPES
from tests.passes.quantize.networks import noise, prepared, prepared_cnn
from tests.support.transformers import encoder

_NETWORKS: dict[str, Callable[[], Model]] = {
    "cnn": prepared_cnn,
    "encoder": lambda: prepared(encoder(blocks=1)),
}


@pytest.fixture(scope="module", params=_NETWORKS)
def model(request: pytest.FixtureRequest) -> Model:
    return _NETWORKS[str(request.param)]()


def test_a_decision_is_that_of_a_calibration(model: Model) -> None:
    samples, recipe = noise(model, 8), RECIPES["int8"]
    at_once = calibrate(model.copy(), samples, recipe).quantized()
    observed = observe_tensors(model.copy(), samples, recipe)
    decide(observed, recipe, decide(observed, recipe).layers[:2])
    assert decide(observed, recipe).quantized().to_bytes() == at_once.to_bytes()


@pytest.mark.parametrize("recipe", [name for name in sorted(RECIPES) if RECIPES[name].method == "static"])
def test_any_layers_may_be_in_float_afterwards(model: Model, recipe: str) -> None:
    observed = observe_tensors(model.copy(), noise(model), RECIPES[recipe])
    layers = decide(observed, RECIPES[recipe]).layers
    pairs = [(layer,) for layer in layers] + list(itertools.pairwise(layers))
    for kept in [*pairs, layers]:
        found = decide(observed, RECIPES[recipe], kept)
        assert not set(kept) & set(found.layers)
        assert {str(value.name) for value in found.plan.sources} <= set(observed.ranges)
    assert decide(observed, RECIPES[recipe], layers).quantized().to_bytes() == observed.model.to_bytes()


def test_layers_are_named_by_their_products() -> None:
    model = prepared(encoder(blocks=1))
    layers = decide(observe_tensors(model, noise(model), RECIPES["int8"]), RECIPES["int8"]).layers
    assert [name for name in layers if name.endswith("/bias")] == []
    assert {"0/attention/q", "0/attention/out", "0/mlp/up", "0/mlp/down", "head"} <= set(layers)


def test_only_one_layer_is_quantized_to_measure_it() -> None:
    model = prepared(encoder(blocks=1))
    found = decide(observe_tensors(model, noise(model), RECIPES["int8"]), RECIPES["int8"])
    nodes = [node for node in found.with_only("head").graph.graph if node.op_type == "QuantizeLinear"]
    assert [node.name for node in nodes] == ["y/quantized"]
