"""Channels with like ranges, and a network that computes the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prove import relative_error, run_model
from edgecompile.passes.quantize.channel_groups import channel_groups
from edgecompile.passes.quantize.equalize import Equalize
from edgecompile.passes.quantize.observe import Observation, Sample, observe
from tests.passes.quantize.networks import constants, graph, noise

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
