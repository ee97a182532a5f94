"""Rank 2 products with constant weights become Gemm in normal form."""

from __future__ import annotations

import pytest

from edgecompile.passes.fuse_gemm import FuseGemm
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

SHAPES = weights(w=(4, 3), n=(3, 4), b=(3,), c=(1, 3), rows=(2, 1), deep=(1, 1, 3))

FUSED = {
    "product": "y = MatMul (x, w)",
    "product and bias": "a = MatMul (x, w) y = Add (a, b)",
    "bias first": "a = MatMul (x, w) y = Add (c, a)",
    "bias a row": "a = MatMul (x, w) y = Add (a, rows)",
    "transposed weights": "y = Gemm <transB = 1> (x, n, b)",
    "factors": "y = Gemm <alpha = 0.5, beta = 2.0> (x, w, b)",
    "everything": "a = Gemm <alpha = 0.5, transB = 1> (x, n) y = Add (a, b)",
}


@pytest.mark.parametrize("body", FUSED.values(), ids=FUSED)
def test_fused(body: str) -> None:
    result = proven(FuseGemm(), graph("float[2,4] x => float[2,3] y", body, SHAPES))
    assert kinds(result.model) == ["Gemm"]
    gemm = node_of(result.model, "Gemm")
    assert not gemm.attributes
    assert gemm.inputs[1] is not None
    assert list(gemm.inputs[1].shape or ()) == [4, 3]


def test_transposed_data_stays_transposed() -> None:
    body = "y = Gemm <transA = 1, transB = 1> (x, n, b)"
    result = proven(FuseGemm(), graph("float[4,2] x => float[2,3] y", body, SHAPES))
    assert set(node_of(result.model, "Gemm").attributes) == {"transA"}


def test_product_read_twice_keeps_its_add() -> None:
    body = "a = MatMul (x, w) e = Add (a, b) y = Mul (e, a)"
    result = proven(FuseGemm(), graph("float[2,4] x => float[2,3] y", body, SHAPES))
    assert kinds(result.model) == ["Gemm", "Add", "Mul"]


KEPT = {
    "rank 3": ("float[1,2,4] x => float[1,2,3] y", "y = MatMul (x, w)"),
    "weights at run time": ("float[2,4] x, float[4,3] k => float[2,3] y", "y = MatMul (x, k)"),
    "bias that enlarges": ("float[2,4] x => float[1,2,3] y", "a = Gemm (x, w) y = Add (a, deep)"),
    "bias at run time": ("float[2,4] x, float[3] k => float[2,3] y", "y = Gemm <alpha = 2.0> (x, w, k)"),
}


@pytest.mark.parametrize(("signature", "body"), KEPT.values(), ids=KEPT)
def test_kept(signature: str, body: str) -> None:
    unchanged(FuseGemm(), graph(signature, body, SHAPES))
