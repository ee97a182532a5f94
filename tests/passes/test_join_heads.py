"""Attention without transpositions around it."""

from __future__ import annotations

import pytest

from edgecompile.passes.join_heads import JoinHeads
from tests.support.passes import graph, kinds, node_of, proven, unchanged

# batch 2, 5 queries, 7 keys; 4 heads of size 3, values of size 2
INPUTS = "float[2,5,12] q, float[2,7,12] k, float[2,7,8] v"
PARTS = """
    qs = Constant <value = int64[4] {2,5,4,3}> () ks = Constant <value = int64[4] {2,7,4,3}> ()
    vs = Constant <value = int64[4] {2,7,4,2}> ()
    qr = Reshape (q, qs) kr = Reshape (k, ks) vr = Reshape (v, vs)
    qt = Transpose <perm = [0,2,1,3]> (qr)
    kt = Transpose <perm = [0,2,1,3]> (kr)
    vt = Transpose <perm = [0,2,1,3]> (vr)
"""
BACK = "t = Transpose <perm = [0,2,1,3]> (a) s = Constant <value = int64[3] {2,5,8}> () y = Reshape (t, s)"


@pytest.mark.parametrize(
    ("inputs", "attention"),
    [
        (INPUTS, "a = Attention <scale = 0.3> (qt, kt, vt)"),
        (f"{INPUTS}, float[5,7] mask", "a = Attention (qt, kt, vt, mask)"),
        (INPUTS, "a = Attention <is_causal = 1> (qt, kt, vt)"),
    ],
    ids=["plain", "masked", "causal"],
)
def test_transpositions_go(inputs: str, attention: str) -> None:
    result = proven(JoinHeads(), graph(f"{inputs} => float[2,5,8] y", f"{PARTS} {attention} {BACK}"))
    assert kinds(result.model) == ["Attention"]
    attributes = node_of(result.model, "Attention").attributes
    assert attributes.get_int("q_num_heads") == attributes.get_int("kv_num_heads") == 4


def test_heads_that_share_keys() -> None:
    body = PARTS.replace("{2,7,4,3}", "{2,7,2,3}").replace("{2,7,4,2}", "{2,7,2,2}")
    inputs = "float[2,5,12] q, float[2,7,6] k, float[2,7,4] v"
    found = graph(f"{inputs} => float[2,5,8] y", f"{body} a = Attention (qt, kt, vt) {BACK}")
    assert node_of(proven(JoinHeads(), found).model, "Attention").attributes.get_int("kv_num_heads") == 2


def test_others_stay() -> None:
    other = PARTS.replace("vt = Transpose <perm = [0,2,1,3]> (vr)", "vt = Identity (w)")
    values = f"{INPUTS}, float[2,4,7,2] w"
    attention = "a = Attention (qt, kt, vt)"
    unchanged(JoinHeads(), graph(f"{values} => float[2,5,8] y", f"{other} {attention} {BACK}"))
    unchanged(JoinHeads(), graph(f"{INPUTS} => float[2,4,5,2] a", f"{PARTS} {attention}"))
