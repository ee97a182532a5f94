"""Rows of weights are permuted instead of the data."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.fold_transposes import FoldTransposes
from tests.support.passes import graph, kinds, proven, unchanged, weights

FLAT = "s = Constant <value = int64[2] {2,24}> () f = Reshape (t, s)"
DOWN = "t = Transpose <perm = [0,3,1,2]> (x)"
SHAPES = weights(w=(24, 5), k=(5, 24), b=(5,))


@settings(max_examples=20, deadline=None)
@given(perm=st.permutations([1, 2, 3]))
def test_any_order_of_columns(perm: list[int]) -> None:
    body = f"t = Transpose <perm = {[0, *perm]}> (x) {FLAT} y = Gemm (f, w, b)"
    before = graph("float[2,3,4,2] x => float[2,5] y", body, SHAPES)
    if perm == [1, 2, 3]:
        unchanged(FoldTransposes(), before)
    else:
        assert kinds(proven(FoldTransposes(), before).model) == ["Gemm"]


def test_batch_of_one() -> None:
    body = f"{DOWN} {FLAT.replace('2,24', '1,24')} y = Gemm (f, w)"
    assert kinds(proven(FoldTransposes(), graph("float[1,3,4,2] x => float[1,5] y", body, SHAPES)).model) == [
        "Gemm"
    ]


KEPT = {
    "rows mixed": ("2,3,4,2", f"t = Transpose <perm = [1,0,3,2]> (x) {FLAT} y = Gemm (f, w)"),
    "weights transposed": ("2,3,4,2", f"{DOWN} {FLAT} y = Gemm <transB = 1> (f, k)"),
    "weights shared": ("2,3,4,2", f"{DOWN} {FLAT} a = Gemm (f, w) z = Gemm (f, w) y = Add (a, z)"),
    "no transpose": ("2,4,3,2", "t = Relu (x) " + FLAT + " y = Gemm (f, w)"),
}


@pytest.mark.parametrize(("size", "body"), KEPT.values(), ids=KEPT)
def test_kept(size: str, body: str) -> None:
    unchanged(FoldTransposes(), graph(f"float[{size}] x => float[2,5] y", body, SHAPES))


def test_weights_of_run_time_are_kept() -> None:
    before = graph("float[2,3,4,2] x, float[24,5] r => float[2,5] y", f"{DOWN} {FLAT} y = Gemm (f, r)")
    unchanged(FoldTransposes(), before)
