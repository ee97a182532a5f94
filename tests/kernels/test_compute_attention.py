from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tvm import te

from edgecompile.core.target import Isa, find_target
from edgecompile.kernels.compute_attention import AttentionOperands, Heads, Masking, Scores, attention
from edgecompile.lower.codegen import resolve_native
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal

HOST = resolve_native(find_target("host").isa)
SCALAR = replace(HOST, vector_bits=0, l1_bytes=0)
MACHINES = pytest.mark.parametrize("isa", [HOST, SCALAR], ids=["vectors", "scalar"])


def slow(query: Array, key: Array, value: Array, hidden: Array, scale: float) -> Array:
    """Attention per head for [B, H, L, D]; `hidden` marks the keys that a query must not see."""
    repeats = query.shape[1] // key.shape[1]
    key, value = np.repeat(key, repeats, axis=1), np.repeat(value, repeats, axis=1)
    scores = np.where(hidden, -np.inf, scale * query @ key.swapaxes(-1, -2))
    highest = scores.max(axis=-1, keepdims=True)
    power = np.exp(scores - np.where(np.isfinite(highest), highest, 0))
    total = power.sum(axis=-1, keepdims=True)
    return np.asarray(power / np.where(total == 0, 1, total) @ value, "float32")


@MACHINES
@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("key_heads", [1, 2, 4])
def test_heads_share_keys(merged: bool, key_heads: int, isa: Isa) -> None:
    query, key, value = (
        normal(2, 4, 3, 8),
        normal(2, key_heads, 11, 8, seed=1),
        normal(2, key_heads, 11, 5, seed=2),
    )
    want = slow(query, key, value, np.zeros((3, 11), bool), 0.5)
    heads = Heads(2, 4, key_heads, 3, 11, 0, 8, 5, merged)
    arrays = [query, key, value]
    if merged:
        arrays = [a.transpose(0, 2, 1, 3).reshape(2, a.shape[2], -1) for a in arrays]
        want = want.transpose(0, 2, 1, 3).reshape(2, 3, -1)

    def definition(q: te.Tensor, k: te.Tensor, v: te.Tensor) -> list[te.Tensor]:
        scores = Scores(0.5, 0.0, Masking(), None)
        return attention(AttentionOperands(q, k, v), heads, scores, False, want.shape, isa)

    assert_close(compute(definition, *arrays)[0], want)


def test_a_query_that_sees_nothing_gets_zeros() -> None:
    query, key, value = normal(1, 1, 4, 4), normal(1, 1, 9, 4, seed=1), normal(1, 1, 9, 4, seed=2)
    # Two valid keys and four queries: the first two queries come before all keys.
    lengths = np.array([2], "int64")
    ahead = np.arange(9)[None, :] - (np.arange(4)[:, None] + 2 - 4)
    want = slow(query, key, value, (ahead > 0) | (np.arange(9) >= 2), 1.0)
    heads = Heads(1, 1, 1, 4, 9, 0, 4, 4, False)

    def definition(q: te.Tensor, k: te.Tensor, v: te.Tensor, n: te.Tensor) -> list[te.Tensor]:
        scores = Scores(1.0, 0.0, Masking(causal=True), None)
        return attention(AttentionOperands(q, k, v, lengths=n), heads, scores, False, want.shape, HOST)

    (result,) = compute(definition, query, key, value, lengths)
    np.testing.assert_array_equal(result[0, 0, :2], 0)
    assert_close(result, want)


@MACHINES
def test_cached_keys_come_first_and_are_returned(isa: Isa) -> None:
    query, key, value = normal(1, 2, 3, 4), normal(1, 2, 3, 4, seed=1), normal(1, 2, 3, 6, seed=2)
    past_key, past_value = normal(1, 2, 5, 4, seed=3), normal(1, 2, 5, 6, seed=4)
    all_keys, all_values = np.concatenate([past_key, key], 2), np.concatenate([past_value, value], 2)
    position = np.arange(3)[:, None] + 5
    hidden = (np.arange(8) > position) | (np.arange(8) < position - 2)
    want = slow(query, all_keys, all_values, hidden, 1.0)
    heads = Heads(1, 2, 2, 3, 3, 5, 4, 6, False)

    def definition(*tensors: te.Tensor) -> list[te.Tensor]:
        q, k, v, pk, pv = tensors
        operands = AttentionOperands(q, k, v, past_key=pk, past_value=pv)
        scores = Scores(1.0, 0.0, Masking(causal=True, left=2), None)
        return attention(operands, heads, scores, True, want.shape, isa)

    result, present_key, present_value = compute(definition, query, key, value, past_key, past_value)
    assert_close(result, want)
    np.testing.assert_array_equal(present_key, all_keys)
    np.testing.assert_array_equal(present_value, all_values)


@MACHINES
def test_queries_beyond_the_last_block(isa: Isa) -> None:
    """More queries and keys than a block and a tile hold, and numbers that neither divides."""
    query, key, value = normal(1, 2, 83, 20), normal(1, 2, 151, 20, seed=1), normal(1, 2, 151, 13, seed=2)
    want = slow(query, key, value, np.zeros((83, 151), bool), 0.2)
    heads = Heads(1, 2, 2, 83, 151, 0, 20, 13, False)
    small = replace(isa, l1_bytes=min(isa.l1_bytes, 16384))

    def definition(q: te.Tensor, k: te.Tensor, v: te.Tensor) -> list[te.Tensor]:
        scores = Scores(0.2, 0.0, Masking(), None)
        return attention(AttentionOperands(q, k, v), heads, scores, False, want.shape, small)

    assert_close(compute(definition, query, key, value)[0], want)
