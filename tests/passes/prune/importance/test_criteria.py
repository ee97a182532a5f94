"""Criteria of importance on networks whose right answer is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.errors import InputError, UsageError
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.batch_norm_gamma import BatchNormGamma
from edgecompile.passes.prune.importance.methods import METHODS, find_method
from edgecompile.passes.prune.importance.readers import find_readers
from edgecompile.passes.quantize.observe import Executor
from tests.passes.prune.importance.networks import convolutions, dense, inner_group, network, noise

Array = np.ndarray[Any, Any]
rng = np.random.default_rng(7)


def scores(name: str, model: Model, count: int = 24) -> Array:
    group = inner_group(model)
    found = find_method(name).make(_Numeric()).score(model, [group], noise(model, count))
    assert list(found) == [group.name]
    assert found[group.name].shape == (group.size,)
    return found[group.name]


class _Numeric:
    """Gradients of the sum of squared outputs by central differences."""

    def fixed(
        self, model: Model, names: Sequence[str], samples: Iterable[Mapping[str, Array]]
    ) -> Iterator[dict[str, Array]]:
        for sample in list(samples)[:3]:
            yield {name: self._differences(model, name, sample) for name in names}

    def trained(
        self, model: Model, names: Sequence[str], samples: Iterable[Mapping[str, Array]]
    ) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
        graph = model.graph.graph
        values = {name: graph.initializers[name].const_value.numpy() for name in names}  # type: ignore[union-attr]
        for gradient in self.fixed(model, names, samples):
            yield values, gradient

    def _differences(self, model: Model, name: str, sample: Mapping[str, Array]) -> Array:
        import onnx_ir as ir

        value = model.graph.graph.initializers[name]
        assert value.const_value is not None
        start = value.const_value.numpy()
        result = np.zeros(start.size)
        for index in range(start.size):
            sums = []
            for step in (1e-2, -1e-2):
                changed = start.copy()
                changed.reshape(-1)[index] += step
                probe = model.copy()
                probe.graph.graph.initializers[name].const_value = ir.tensor(changed, name=name)
                sums.append(float((Executor(probe, ["y"])(sample)["y"].astype(float) ** 2).sum()))
            result[index] = (sums[0] - sums[1]) / 2e-2
        return result.reshape(start.shape)


def test_magnitudes_are_those_of_filters() -> None:
    first, second = rng.standard_normal((3, 2, 3, 3)), rng.standard_normal((4, 3, 1, 1))
    model = convolutions(first, np.full(3, 9.0), second)
    np.testing.assert_allclose(scores("l1", model), np.abs(first).sum((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(scores("l2", model), np.sqrt((first**2).sum((1, 2, 3))), rtol=1e-6)


def test_activations_are_those_that_are_read() -> None:
    # Unit 0 is always 5, unit 1 varies a little, unit 2 much.
    first = np.array([[0.0, 0.1, 1.0]])
    model = dense(first, np.array([5.0, 5.0, 5.0]), rng.standard_normal((3, 2)))
    samples = np.concatenate([sample["x"] for sample in noise(model)])
    read = np.maximum(samples @ first + 5, 0)
    np.testing.assert_allclose(scores("activation-magnitude", model), read.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scores("activation-variance", model), read.var(0), rtol=1e-3, atol=1e-9)


def test_wanda_is_weights_times_norms() -> None:
    first, second = rng.standard_normal((2, 3)), rng.standard_normal((3, 4))
    model = dense(first, np.zeros(3), second)
    samples = np.concatenate([sample["x"] for sample in noise(model)])
    norms = np.sqrt((np.maximum(samples @ first, 0) ** 2).mean(0))
    np.testing.assert_allclose(scores("wanda", model), np.abs(second).sum(1) * norms, rtol=1e-5)


def test_what_nobody_reads_is_worth_nothing() -> None:
    second = rng.standard_normal((4, 3))
    second[2] = 0
    model = dense(rng.standard_normal((5, 4)), np.full(4, 3.0), second)
    for name in ("wanda", "thinet", "lasso", "reconstruction", "taylor", "fisher", "hessian"):
        found = scores(name, model)
        assert found.argmin() == 2, name
        assert found[2] < 0.1 * np.sort(found)[1], name


def test_very_wide_readers_do_not_count() -> None:
    model = dense(np.ones((5, 4)), np.zeros(4), np.ones((4, 3)))
    group = inner_group(model)
    assert [len(find_readers(model, [group], widest)[group.name]) for widest in (3, 4)] == [0, 1]


def test_reconstruction_sees_that_one_of_two_equal_units_can_go() -> None:
    # Units 0 and 1 are the same and large, unit 2 is small but alone; 3 is large and alone.
    rng = np.random.default_rng(3)
    first = rng.standard_normal((6, 4)) * np.array([3.0, 3.0, 0.5, 3.0])
    first[:, 1] = first[:, 0]
    model = dense(first, np.zeros(4), np.ones((4, 1)) * rng.standard_normal(3))
    order = np.argsort(scores("reconstruction", model, 200))
    assert order[0] in (0, 1)
    assert scores("l1", model).argmin() == 2


def test_reconstruction_scores_are_errors_that_a_regression_confirms() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.standard_normal((6, 5)), rng.standard_normal((5, 3))
    model = dense(first, np.zeros(5), second)
    found = scores("reconstruction", model, 400)
    samples = np.concatenate([sample["x"] for sample in noise(model, 400)])
    read = np.maximum(samples @ first, 0)
    left = [unit for unit in range(5) if unit != found.argmin()]
    results = read @ second
    best, *_ = np.linalg.lstsq(read[:, left], results, rcond=None)
    error = ((read[:, left] @ best - results) ** 2).sum() / (results**2).sum()
    assert found.min() == pytest.approx(error, rel=0.1)


def test_thinet_scores_are_errors_without_any_change_of_weights() -> None:
    first, second = rng.standard_normal((3, 2, 1, 1)), rng.standard_normal((4, 3, 3, 3))
    model = convolutions(first, np.zeros(3), second)
    found = scores("thinet", model)
    order = np.argsort(found)
    masked = second.copy()
    masked[:, order[:2]] = 0
    wanted, given = (
        np.stack([Executor(m)(sample)["y"] for sample in noise(m)])
        for m in (model, convolutions(first, np.zeros(3), masked))
    )
    assert found[order[1]] == pytest.approx(((wanted - given) ** 2).sum() / (wanted**2).sum(), rel=1e-3)


def test_a_lasso_keeps_what_matters_longest() -> None:
    second = np.clip(np.abs(rng.standard_normal((4, 3))), 0.6, 1) * np.array([[4.0], [1.0], [0.2], [2.0]])
    model = dense(np.eye(4), np.full(4, 3.0), second)
    assert scores("lasso", model, 100).argmin() == 2
    assert scores("lasso", model, 100).argmax() == 0


def test_gradients_are_those_of_a_gate() -> None:
    first, second = rng.standard_normal((2, 3)), rng.standard_normal((3, 2))
    model = dense(first, np.full(3, 0.3), second)
    derivatives = []
    for sample in noise(model)[:3]:
        read = np.maximum(sample["x"] @ first + 0.3, 0)
        derivatives.append((2 * (read @ second) @ second.T * read)[0])
    np.testing.assert_allclose(scores("taylor", model), np.abs(derivatives).mean(0), rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(
        scores("fisher", model), np.square(derivatives).mean(0) / 2, rtol=2e-2, atol=1e-3
    )
    np.testing.assert_allclose(scores("movement", model), -np.sum(derivatives, 0), rtol=1e-2, atol=1e-2)


def test_random_scores_are_repeatable() -> None:
    model = dense(np.ones((2, 6)), np.zeros(6), np.ones((6, 2)))
    assert np.array_equal(scores("random", model), scores("random", model))
    assert len(set(scores("random", model))) == 6


def test_gamma_reads_batch_normalization() -> None:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], "conv", kernel_shape=[1, 1]),
        helper.make_node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], ["n"], "norm"),
        helper.make_node("Conv", ["n", "v"], ["y"], "next", kernel_shape=[1, 1]),
    ]
    gamma = np.array([0.5, -2.0, 0.1])
    model = network(
        nodes,
        {"x": [1, 2, 4, 4]},
        "y",
        w=rng.standard_normal((3, 2, 1, 1)),
        v=rng.standard_normal((2, 3, 1, 1)),
        gamma=gamma,
        beta=np.zeros(3),
        mean=np.zeros(3),
        var=np.ones(3),
    )
    np.testing.assert_allclose(scores("gamma", model), np.abs(gamma), rtol=1e-6)


def test_gamma_needs_batch_normalization() -> None:
    model = dense(np.ones((2, 3)), np.zeros(3), np.ones((3, 2)))
    with pytest.raises(UsageError, match=r"EC2522.*folded into weights"):
        BatchNormGamma().score(model, [inner_group(model)])


@pytest.mark.parametrize("name", [method.name for method in METHODS.values() if method.needs_samples])
def test_what_needs_samples_says_so(name: str) -> None:
    model = dense(np.ones((2, 3)), np.zeros(3), np.ones((3, 2)))
    with pytest.raises(UsageError, match=rf"EC2521.*'{name}' needs samples"):
        find_method(name).make(_Numeric()).score(model, [inner_group(model)], None)


def test_infinite_activations_are_refused() -> None:
    model = dense(np.full((1, 2), 3e38), np.zeros(2), np.ones((2, 2)))
    samples = [{"x": np.full((1, 1), 3.0, np.float32)}]
    with pytest.raises(InputError, match="EC3520"):
        find_method("wanda").make(None).score(model, [inner_group(model)], samples)


def test_an_unknown_method_has_a_hint() -> None:
    with pytest.raises(UsageError, match=r"EC2520.*'wand'.*did you mean 'wanda'"):
        find_method("wand")


def test_frozen_groups_have_no_scores() -> None:
    model = dense(np.ones((2, 3)), np.zeros(3), np.ones((3, 2)))
    groups: tuple[Group, ...] = analyse(model).groups
    assert any(group.frozen for group in groups)
    for name in ("l1", "wanda", "reconstruction", "random"):
        found = find_method(name).make(None).score(model, groups, noise(model))
        assert list(found) == [inner_group(model).name]
