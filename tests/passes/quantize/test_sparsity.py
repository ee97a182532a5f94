"""Patterns of zeros: found, and kept by quantization."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.quantize.calibrate import calibrate
from edgecompile.passes.quantize.recipes import RECIPES
from edgecompile.passes.quantize.sparsity import Pattern, sparsity_pattern, sparsity_patterns
from tests.passes.quantize.networks import constants, graph, noise


def sparse(shape: tuple[int, ...], axis: int, pattern: Pattern, seed: int = 0) -> Array:
    """Random weights, of which those of the greatest magnitude in each block are left."""
    weights = np.random.default_rng(seed).standard_normal(shape)
    blocks = np.moveaxis(weights, axis, -1)
    blocks = blocks.reshape(*blocks.shape[:-1], -1, pattern.length).copy()
    order = np.argsort(-np.abs(blocks), axis=-1)
    np.put_along_axis(blocks, order[..., pattern.kept :], 0.0, axis=-1)
    rows = blocks.reshape(*np.moveaxis(weights, axis, -1).shape)
    return np.ascontiguousarray(np.moveaxis(rows, -1, axis))


@given(
    st.sampled_from([Pattern(1, 4), Pattern(2, 4), Pattern(3, 8), Pattern(4, 8), Pattern(7, 16)]),
    st.sampled_from([((6, 16), 1), ((32, 5), 0), ((4, 16, 3, 3), 1)]),
    st.integers(0, 1000),
)
def test_a_pattern_is_found(pattern: Pattern, layout: tuple[tuple[int, ...], int], seed: int) -> None:
    shape, axis = layout
    weights = sparse(shape, axis, pattern, seed)
    found = sparsity_pattern(weights, axis)
    assert found is not None
    assert found.length <= pattern.length
    assert 2 * found.kept <= found.length
    blocks = np.moveaxis(weights, axis, -1).reshape(-1, found.length)
    assert (blocks != 0).sum(axis=1).max() == found.kept


@pytest.mark.parametrize(
    "weights",
    [
        np.ones((4, 8)),
        np.zeros((4, 8)),
        np.array([[1.0, 0.0, 0.0]]),
        np.array([[1.0, 1.0, 1.0, 0.0] + [0.0] * 4 + [1.0] * 8]),
    ],
)
def test_no_pattern_is_found(weights: Array) -> None:
    assert sparsity_pattern(weights, 1) is None


def test_the_last_block_may_be_shorter() -> None:
    assert sparsity_pattern(np.array([[1.0, 0.0, 0.0, 2.0, 1.0, 3.0]]), 1) == Pattern(2, 4)
    assert str(Pattern(2, 4)) == "2:4"


def network(seed: int) -> Model:
    """Sparse layers of all kinds in a row, with channels of unlike ranges, and a dense one."""
    two_of_four = Pattern(2, 4)
    wide = np.logspace(0, 2, 8)
    text = constants(
        c=sparse((8, 8, 1, 1), 1, two_of_four, seed) * wide[:, None, None, None],
        b=np.ones(8),
        d=sparse((8, 8, 3, 3), 1, two_of_four, seed + 1) / wide[:, None, None],
        g=sparse((8, 8), 0, two_of_four, seed + 2),
        h=np.random.default_rng(seed).standard_normal((8, 8)),
        i=np.ones(8),
        m=sparse((8, 4), 0, two_of_four, seed + 3),
        n=np.ones(4),
        s=[1, 1, 8],
        f=[1, 8],
    )
    body = """
        c1 = Conv(x, c, b) r1 = Relu(c1) c2 = Conv(r1, d) r2 = Relu(c2) p = GlobalAveragePool(r2)
        v = Reshape(p, f) g1 = Gemm(v, g) h1 = Gemm<transB=1>(g1, h, i) t = Reshape(h1, s)
        q = MatMul(t, m) y = Add(q, n)
    """
    return graph("float[1,8,6,6] x => float[1,1,4] y", body, text)


@pytest.mark.parametrize("recipe", [name for name in sorted(RECIPES) if RECIPES[name].method == "static"])
@settings(max_examples=8)
@given(seed=st.integers(0, 1000))
def test_quantization_keeps_zeros_and_patterns(recipe: str, seed: int) -> None:
    model = network(seed)
    chosen = dataclasses.replace(RECIPES[recipe], equalize=True, clip_weights=True, correct_bias=True)
    found = calibrate(model.copy(), noise(model), chosen)
    for node in model.graph.graph:
        if str(node.name) in found.contractions:
            weights = constant_of(node.inputs[1])
            assert weights is not None
            assert not found.contractions[str(node.name)].weights.integers[weights == 0].any()
    patterns = sparsity_patterns(found.model.graph.graph, found.contractions)
    kinds = {str(node.name): node.op_type for node in found.model.graph.graph}
    assert [kinds[name] for name in patterns] == ["Conv", "Conv", "Gemm", "MatMul"]
    assert all(layer == {"pattern": "2:4", "kept": True} for layer in patterns.values())


def test_a_zero_that_is_lost_is_said() -> None:
    model = network(0)
    found = calibrate(model.copy(), noise(model), RECIPES["int8"])
    name, contraction = next(iter(found.contractions.items()))
    broken = dataclasses.replace(contraction.weights, integers=np.ones_like(contraction.weights.integers))
    contractions = {name: dataclasses.replace(contraction, weights=broken)}
    assert sparsity_patterns(found.model.graph.graph, contractions) == {
        name: {"pattern": "2:4", "kept": False}
    }
