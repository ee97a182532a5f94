"""Gradients of networks by their constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.errors import UnsupportedError
from edgecompile.passes.logits import logits_of
from edgecompile.passes.prune.importance.methods import METHODS
from edgecompile.torch.gradients import ProjectedGradients
from tests.passes.prune.importance.networks import dense, inner_group, noise
from tests.support.graphs import model as parsed

Array = np.ndarray[Any, Any]
rng = np.random.default_rng(11)


def test_squares_of_projected_gradients_are_those_of_the_jacobian() -> None:
    """Of y = relu(x a + b) c, the derivative by c[i, j] of y[j] is what unit i is."""
    first, second = rng.standard_normal((3, 4)), rng.standard_normal((4, 2))
    model = dense(first, np.full(4, 0.5), second)
    (sample,) = noise(model, 1)
    found = [g["second"] for g in ProjectedGradients(projections=50).fixed(model, ["second"], [sample])]
    assert len(found) == 50
    read = np.maximum(sample["x"] @ first + 0.5, 0)[0]
    size = np.linalg.norm(read @ second)
    squares = np.square(found).mean(0)
    np.testing.assert_allclose(squares, np.stack([(read / size) ** 2] * 2, axis=1), rtol=1e-4, atol=1e-7)


def test_projections_are_repeatable() -> None:
    model = dense(rng.standard_normal((3, 4)), np.zeros(4), rng.standard_normal((4, 2)))
    first, again = (
        [g["first"] for g in ProjectedGradients().fixed(model, ["first"], noise(model, 2))] for _ in range(2)
    )
    assert len(first) == 8
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_training_moves_towards_labels() -> None:
    model = dense(rng.standard_normal((3, 4)), np.ones(4), rng.standard_normal((4, 2)))
    samples = noise(model, 4) * 20
    source = ProjectedGradients(rate=0.1, labels=[1] * len(samples))
    steps = list(source.trained(model, ["second"], samples))
    assert len(steps) == len(samples)
    values = [step[0]["second"] for step in steps]
    assert (values[-1][:, 1] - values[-1][:, 0]).sum() > (values[0][:, 1] - values[0][:, 0]).sum()
    np.testing.assert_allclose(values[0] - 0.1 * steps[0][1]["second"], values[1], rtol=1e-5, atol=1e-6)
    before = next(iter(model.graph.graph.initializers.values())).const_value
    assert before is not None


@pytest.mark.parametrize("name", [method.name for method in METHODS.values() if method.needs_gradients])
def test_criteria_score_through_the_interpreter(name: str) -> None:
    model = dense(rng.standard_normal((3, 4)), np.ones(4), rng.standard_normal((4, 2)))
    group = inner_group(model)
    found = METHODS[name].make(ProjectedGradients()).score(model, [group], noise(model, 6))[group.name]
    assert found.shape == (4,)
    assert np.isfinite(found).all()
    assert len(set(found)) == 4


def test_what_cannot_be_differentiated_is_named() -> None:
    model = parsed("g (float[2, 3] x) => (float[2, 3] y) { y = Hardmax(x) }", typed=True)
    with pytest.raises(UnsupportedError, match=r"EC4391.*Hardmax.*such as reconstruction"):
        list(ProjectedGradients().fixed(model, [], [{"x": np.zeros((2, 3), np.float32)}]))


def test_logits_are_in_front_of_probabilities() -> None:
    text = "g (float[1, 3] x) => (float[1, 3] p, float[1, 3] r) { n = Neg(x) p = Softmax(n) r = Relu(x) }"
    assert [value.name for value in logits_of(parsed(text, typed=True))] == ["n", "r"]
