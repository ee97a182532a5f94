"""Channels with like ranges, and a network that computes the same."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prove import relative_error, run_model
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.channel_groups import ChannelGroup, channel_groups
from edgecompile.passes.quantize.equalize import Equalize
from edgecompile.passes.quantize.measure import tensor_ratios
from edgecompile.passes.quantize.observe import Observation, Sample, observe
from edgecompile.passes.quantize.recipes import RECIPES
from tests.passes.quantize.networks import constants, graph, noise, prepared
from tests.support.graphs import run_proven
from tests.support.passes import check_types, weights
from tests.support.transformers import encoder

# Channels 30 times as wide as others, as in depthwise networks.
_WIDE = np.array([30.0, 1.0, 0.3, 1.0])


def block(activation: str, scale: Array = _WIDE) -> Model:
    """Pointwise, depthwise, pointwise."""
    generator = np.random.default_rng(0)
    arrays = {
        "w": generator.standard_normal((4, 3, 1, 1)) * scale[:, None, None, None],
        "b": np.abs(generator.standard_normal(4)) * scale,
        "d": generator.standard_normal((4, 1, 3, 3)) / scale[:, None, None, None],
        "p": generator.standard_normal((2, 4, 1, 1)),
    }
    body = f"""
        a = Conv(x, w, b) r = {activation.format("a")} c = Conv<group=4, pads=[1,1,1,1]>(r, d)
        s = {activation.format("c")} y = Conv(s, p)
    """
    text = constants(**arrays, low=0.0, high=6.0)
    return graph("float[1,3,6,6] x => float[1,2,6,6] y", body, text)


def greatest(model: Model, samples: list[Sample], *names: str) -> dict[str, Array]:
    return observe(model, samples, Observation(bounded=names)).greatest


@pytest.mark.parametrize("per_channel", [True, False])
def test_ranges_become_alike_and_results_stay(per_channel: bool) -> None:
    model = block("Relu({})")
    samples = noise(model)
    seen = greatest(model, samples, "r", "s")
    after = Equalize(seen, per_channel)(model.copy()).model
    for sample in samples:
        (expected,), (got,) = run_model(model, sample), run_model(after, sample)
        assert relative_error(expected, got) < 1e-5
    before, now = seen["r"], greatest(after, samples, "r")["r"]
    assert before.max() / before.min() > 50
    assert now.max() / now.min() < (1.01 if per_channel else 30)


def test_a_clip_that_is_reached_stays_exact() -> None:
    model = block("Clip({}, low, high)", np.array([50.0, 1.0, 0.02, 0.02]))
    samples = noise(model, 10)
    after = Equalize(greatest(model, samples, "r", "s"), per_channel=True)(model.copy()).model
    for sample in samples:
        (expected,), (got,) = run_model(model, sample), run_model(after, sample)
        assert relative_error(expected, got) < 1e-4
    assert greatest(after, samples, "r")["r"].min() > 1.0


def test_a_dead_channel_does_no_harm() -> None:
    model = block("Relu({})", np.array([1.0, 0.0, 1.0, 1.0]) + 1e-30)
    samples = noise(model)
    seen = {"r": np.array([1.0, 0.0, 2.0, 3.0]), "s": np.zeros(4)}
    after = Equalize(seen, per_channel=True)(model.copy()).model
    assert all(np.isfinite(constant_of(v)).all() for v in after.graph.graph.initializers.values())  # type: ignore[arg-type]
    assert np.isfinite(run_model(after, samples[0])[0]).all()


def test_weights_that_training_gave_up_do_not_count() -> None:
    """A channel of weights of 1e-30 holds nothing but its bias, which shall not fill the range."""
    model = block("Relu({})", np.array([1.0, 1e-30, 1.0, 1.0]))
    seen = {"r": np.array([2.0, 0.05, 2.0, 3.0]), "s": np.array([2.0, 2.0, 2.0, 3.0])}
    after = Equalize(seen, per_channel=False)(model.copy()).model
    np.testing.assert_allclose(first_weights(after)[1], first_weights(model)[1], rtol=1e-3)


def test_no_channel_becomes_much_wider_than_the_widest() -> None:
    """Weights that are small in front and large behind would like it to."""
    model = block("Relu({})", np.array([1.0, 1e-3, 1.0, 1.0]))
    seen = {"r": np.array([2.0, 1.5, 2.0, 3.0]), "s": np.array([2.0, 2.0, 2.0, 3.0])}
    after = Equalize(seen, per_channel=False)(model.copy()).model
    np.testing.assert_allclose(first_weights(after)[1], first_weights(model)[1] * 2 * 3.0 / 1.5, rtol=1e-3)


def first_weights(model: Model) -> Array:
    found = constant_of(next(iter(model.graph.graph)).inputs[1])
    assert found is not None
    return found


def test_sums_are_scaled_together() -> None:
    body = "a = Conv(x, w) b = Conv(x, v) s = Add(a, b) r = Relu(s) y = Conv(r, p)"
    text = constants(w=np.ones((3, 1, 1, 1)), v=np.ones((3, 1, 1, 1)), p=np.ones((1, 3, 1, 1)))
    (group,) = channel_groups(graph("float[1,1,2,2] x => float[1,1,2,2] y", body, text).graph.graph)
    assert {value.name for value in group.values} == {"a", "b", "s", "r"}
    assert (len(group.writers), len(group.readers)) == (2, 1)


@pytest.mark.parametrize(
    "body",
    [
        "a = Conv(x, w) r = Sigmoid(a) y = Conv(r, v)",
        "a = Conv(x, w) r = Add(a, x) y = Conv(r, v)",
        "a = Conv(x, w) r = Add(a, c) y = Conv(r, v)",
        "a = Conv(x, w) r = Clip(a, c, c) y = Conv(r, v)",
        "a = Conv(x, w) r = Conv(a, w) y = Mul(a, r)",
        "y = Conv(x, w)",
    ],
)
def test_what_does_not_commute_is_left_alone(body: str) -> None:
    text = constants(w=np.ones((1, 1, 1, 1)), v=np.ones((1, 1, 1, 1)), c=1.0)
    assert not channel_groups(graph("float[1,1,2,2] x => float[1,1,2,2] y", body, text).graph.graph)


def ends(group: ChannelGroup) -> tuple[list[str], list[str], list[str], list[str]]:
    """Tensors, writers, readers and vectors of a group, by their names."""
    vectors = [str(node.inputs[index].name) for node, index in group.vectors]  # type: ignore[union-attr]
    names = [str(node.name) for node in group.writers], [str(node.name) for node in group.readers]
    return [str(value.name) for value in group.values], *names, vectors


def test_all_that_reads_a_normalization_is_scaled_together() -> None:
    groups = [ends(group) for group in channel_groups(prepared(encoder(blocks=1)).graph.graph)]
    attention = ["0/attention/q", "0/attention/k", "0/attention/v"]
    assert groups == [
        (["0/attention/norm_out"], [], attention, ["0/attention/norm.gain", "0/attention/norm.bias"]),
        (["0/mlp/norm_out"], [], ["0/mlp/up"], ["0/mlp/norm.gain", "0/mlp/norm.bias"]),
        (["norm_out"], [], ["head"], ["norm.gain", "norm.bias"]),
    ]


@pytest.mark.parametrize(
    ("signature", "body", "shapes", "vectors"),
    [
        ("float[1,5,4] x => float[1,5,3] y", "n = RMSNormalization(x, g) y = MatMul(n, w)",
         {"g": (4,), "w": (4, 3)}, ["g"]),
        ("float[1,5,4] x => float[1,5,3] y", "t = Tanh(x) m = Mul(t, g) a = Add(m, b) y = MatMul(a, w)",
         {"g": (4,), "b": (1, 1, 4), "w": (4, 3)}, ["g", "b"]),
        ("float[1,4,5,5] x => float[1,3,5,5] y", "m = Mul(g, x) a = Add(b, m) r = Relu(a) y = Conv(r, w)",
         {"g": (4, 1, 1), "b": (1, 4, 1, 1), "w": (3, 4, 1, 1)}, ["g", "b"]),
        ("float[1,5,6] x => float[1,5,3] y", "p = MatMul(x, v) a = Add(p, b) r = Relu(a) y = MatMul(r, w)",
         {"v": (6, 4), "b": (4,), "w": (4, 3)}, ["b"]),
        ("float[1,6,5] x => float[1,5,3] y",
         "c = Conv(x, v, b) t = Transpose<perm=[0,2,1]>(c) y = MatMul(t, w)",
         {"v": (4, 6, 1), "b": (4,), "w": (4, 3)}, []),
        ("float[1,5,4] x => float[5,3] y",
         "n = LayerNormalization(x, g, b) r = Reshape(n, i) y = Gemm(r, w, v)",
         {"g": (4,), "b": (4,), "w": (4, 3), "v": (3,)}, ["g", "b"]),
    ],
)  # fmt: skip
def test_vectors_and_products_are_scaled(
    signature: str, body: str, shapes: dict[str, tuple[int, ...]], vectors: list[str]
) -> None:
    text = weights(**shapes)[:-1] + ", int64[2] i = {5, 4}>"
    model = graph(signature, body, text)
    (group,) = channel_groups(model.graph.graph)
    assert ends(group)[3] == vectors
    seen = {str(value.name): np.array([50.0, 1.0, 0.2, 3.0]) for value in group.values}
    after = run_proven(Equalize(seen, per_channel=True), model).model
    check_types(after)
    (before,) = channel_groups(graph(signature, body, text).graph.graph)
    (now,) = channel_groups(after.graph.graph)
    for (node, index), (old, _) in zip(now.vectors, before.vectors, strict=True):
        scaled, constant = constant_of(node.inputs[index]), constant_of(old.inputs[index])
        assert scaled is not None
        assert constant is not None
        assert scaled.shape == constant.shape
        assert (scaled / constant).ravel()[2] > 2 * (scaled / constant).ravel()[0]


@pytest.mark.parametrize(
    "body",
    [
        "n = LayerNormalization(x, g) y = Add(n, x)",
        "n = LayerNormalization(x, g) m = MatMul(n, w) y = Add(n, m)",
        "n = LayerNormalization<axis=1>(x, h) y = MatMul(n, w)",
        "n = LayerNormalization(x, g) t = Tanh(n) y = MatMul(t, w)",
        "m = Mul(x, k) y = MatMul(m, w)",
        "m = Mul(x, s) y = MatMul(m, w)",
        "m = Mul(x, x) y = MatMul(m, w)",
        "m = MatMul(x, w) n = Conv(m, c) y = MatMul(n, w)",
    ],
)
def test_what_cannot_be_scaled_on_the_last_axis_is_left_alone(body: str) -> None:
    text = weights(g=(4,), h=(4, 4), w=(4, 4), k=(4, 1), s=(), c=(4, 4, 1))
    assert not channel_groups(graph("float[1,4,4] x => float[1,4,4] y", body, text).graph.graph)


def test_a_reshape_that_mixes_channels_is_left_alone() -> None:
    text = weights(g=(4,), w=(8, 4))[:-1] + ", int64[3] i = {1, 2, 8}>"
    body = "n = LayerNormalization(x, g) t = Reshape(n, i) y = MatMul(t, w)"
    assert not channel_groups(graph("float[1,4,4] x => float[1,2,4] y", body, text).graph.graph)


@pytest.mark.parametrize("normalization", ["LayerNormalization", "RMSNormalization"])
@pytest.mark.parametrize("recipe", ["int8", "int8-per-tensor"])
def test_outliers_of_a_transformer_move_into_the_weights(recipe: str, normalization: str) -> None:
    """From about 8 to about 27 dB, and the float network stays what it was."""
    model = prepared(encoder(normalization=normalization))
    samples, others = noise(model, 16), noise(model, 4, seed=5)
    plain = dataclasses.replace(RECIPES[recipe], equalize=False)

    def decibels(equalize: bool) -> float:
        chosen = calibrate(model.copy(), samples, dataclasses.replace(plain, equalize=equalize))
        for sample in others:
            assert relative_error(*(run_model(m, sample)[0] for m in (model, chosen.model))) < 1e-4
        return tensor_ratios(model, chosen.quantized(), {"y": "y"}, others)["y"]

    assert decibels(equalize=False) < 12
    assert decibels(equalize=True) > 24
