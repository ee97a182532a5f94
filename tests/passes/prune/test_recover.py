"""Weights that make up for what is gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import helper

from edgecompile.core.model import Model
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.contractions import find_contractions
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.least_squares import Rows, fit
from edgecompile.passes.prune.recover import kept_indices, recover
from edgecompile.passes.quantize.observe import Executor
from tests.passes.prune.importance.networks import convolutions, dense, inner_group, network, noise

Array = np.ndarray[Any, Any]
rng = np.random.default_rng(3)


def pruned_and_recovered(model: Model, units: list[int], count: int = 200) -> tuple[float, float, Model]:
    """The mean square error of the outputs before and after recovery, relative to their variance."""
    found, keep = analyse(model), {inner_group(model).name: units}
    bare = cut(model, keep, found)
    result, fits = recover(model, bare, kept_indices(found, keep), noise(model, count))
    assert all(fit.after <= fit.before for fit in fits)
    return error(model, bare), error(model, result), result


def error(model: Model, other: Model) -> float:
    wanted, given = (
        np.stack([next(iter(Executor(m)(sample).values())) for sample in noise(model, 50, seed=9)])
        for m in (model, other)
    )
    return float(((wanted - given) ** 2).mean() / wanted.var())


def test_a_unit_that_others_can_make_up_for_is_not_missed() -> None:
    """Unit 2 is the sum of units 0 and 1, which are always positive."""
    first = rng.uniform(0.1, 0.2, (4, 3))
    first[:, 2] = first[:, 0] + first[:, 1]
    model = dense(first, np.array([5.0, 5.0, 10.0]), rng.standard_normal((3, 4)))
    before, after, _ = pruned_and_recovered(model, [0, 1])
    assert after < 0.01 * before


def test_a_constant_unit_becomes_bias() -> None:
    first = np.stack([rng.standard_normal(5), np.zeros(5)], axis=1)
    model = dense(first, np.array([0.0, 3.0]), rng.standard_normal((2, 3)))
    _, after, _ = pruned_and_recovered(model, [0])
    assert after < 1e-6


def test_kernels_are_recovered() -> None:
    """The second and third of four filters are the first one, so one of them says it all."""
    first = rng.standard_normal((4, 2, 3, 3))
    first[1:3] = first[0]
    model = convolutions(first, np.zeros(4), rng.standard_normal((5, 4, 3, 3)), size=8)
    before, after, _ = pruned_and_recovered(model, [0, 3], 300)
    assert before > 0.1
    assert after < 1e-3


def test_depthwise_and_grouped_convolutions_have_windows_of_their_own() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "a"], ["y"], "depthwise", kernel_shape=[3, 3], group=4, pads=[1] * 4),
    ]
    model = network(nodes, {"x": [1, 4, 5, 5]}, "y", a=rng.standard_normal((8, 1, 3, 3)))
    (layer,) = find_contractions(model)
    assert (layer.groups, layer.inputs, layer.taps, layer.output_axis) == (4, 1, 9, 0)
    (sample,) = noise(model, 1)
    result = Executor(model)(sample)["y"]
    rows, results = layer.rows(sample["x"], 0), layer.results(result, 0)
    assert (rows.shape, results.shape) == ((4, 25, 9), (4, 25, 2))
    np.testing.assert_allclose(rows @ layer.matrix(), results, rtol=1e-4, atol=1e-5)
    weights = next(iter(model.graph.graph.initializers.values())).const_value
    assert weights is not None
    assert np.array_equal(layer.constant(layer.matrix()), weights.numpy())


@pytest.mark.parametrize("transposed", [0, 1])
def test_products_are_rows_times_weights(transposed: int) -> None:
    weights = rng.standard_normal((3, 6) if transposed else (6, 3))
    nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], "gemm", transB=transposed)]
    model = network(nodes, {"x": [4, 6]}, "y", w=weights)
    (layer,) = find_contractions(model)
    (sample,) = noise(model, 1)
    results = layer.results(Executor(model)(sample)["y"], 0)
    np.testing.assert_allclose(layer.rows(sample["x"], 0) @ layer.matrix(), results, rtol=1e-4, atol=1e-5)
    assert layer.output_axis == (0 if transposed else 1)
    np.testing.assert_array_equal(layer.constant(layer.matrix()), weights.astype(np.float32))


def test_of_large_tensors_some_rows_are_taken_and_others_next_time() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"], "conv", kernel_shape=[1, 1])]
    model = network(nodes, {"x": [1, 1, 32, 32]}, "y", w=np.ones((1, 1, 1, 1)))
    (layer,) = find_contractions(model)
    tensor = np.arange(1024, dtype=np.float32).reshape(1, 1, 32, 32)
    seen = [layer.rows(tensor, number).ravel() for number in range(4)]
    assert {len(one) for one in seen} == {256}
    assert set(np.concatenate(seen)) == set(range(1024))
    assert all(np.array_equal(layer.results(tensor, n).ravel(), one) for n, one in enumerate(seen))


def test_a_residual_sum_makes_up_for_both_branches() -> None:
    """relu(x a) goes through a layer and around it; the layer corrects what the shortcut lost."""
    nodes = [
        helper.make_node("Gemm", ["x", "a"], ["h"], "first"),
        helper.make_node("Gemm", ["h", "b"], ["p"], "branch"),
        helper.make_node("Gemm", ["p", "c"], ["q"], "back"),
        helper.make_node("Add", ["q", "h"], ["s"], "sum"),
        helper.make_node("Gemm", ["s", "d"], ["y"], "last"),
    ]
    arrays = {name: rng.standard_normal((6, 6)) for name in "abcd"}
    model = network(nodes, {"x": [1, 6]}, "y", **arrays)
    found = analyse(model)
    branch = next(group for group in found.groups if group.name == "branch")
    keep = {branch.name: [0, 1, 2, 3, 4]}
    bare = cut(model, keep, found)
    result, fits = recover(model, bare, kept_indices(found, keep), noise(model, 200))
    assert [fit.name for fit in fits] == ["back", "last"]
    assert error(model, result) < 0.9 * error(model, bare)


def test_what_is_not_cut_keeps_its_weights() -> None:
    model = dense(rng.standard_normal((4, 3)), np.zeros(3), rng.standard_normal((3, 2)))
    result, fits = recover(model, model.copy(), {}, noise(model))
    assert fits == []
    assert result.to_bytes() == model.to_bytes()


def test_below_a_bound_all_is_equal() -> None:
    """Of y = relu(x w) only what is above 0 tells of w; a plain regression is biased by the rest."""
    x = rng.standard_normal((1, 4000, 2)).astype(np.float32)
    weights = np.array([[[1.0], [-2.0]]])
    y = np.maximum(x @ weights, 0).astype(np.float32)
    start = np.array([[[0.5], [-0.5]]])
    plain = fit(Rows(x, y), Rows(x, y), start, has_bias=False)
    bounded = Rows(x, y, low=np.zeros_like(y))
    clamped = fit(bounded, bounded, start, has_bias=False)
    assert clamped.after < 0.02 < plain.after
    assert np.abs(clamped.weights - weights).max() < np.abs(plain.weights - weights).max()
    above = Rows(x, -y, high=np.zeros_like(y))
    assert fit(above, above, -start, has_bias=False).after == pytest.approx(clamped.after, rel=1e-3)


def test_weights_stay_when_nothing_is_better_on_other_samples() -> None:
    x, y = rng.standard_normal((2, 1, 5, 4)).astype(np.float32)
    held_back = rng.standard_normal((1, 200, 4)).astype(np.float32)
    start = rng.standard_normal((1, 4, 4))
    found = fit(Rows(x, y), Rows(held_back, (held_back @ start).astype(np.float32)), start, has_bias=False)
    assert np.array_equal(found.weights, start)
    assert found.before == found.after < 1e-6
