"""Attention in its spellings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.recognize_attention import RecognizeAttention
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

# batch 2, 3 heads, 4 queries, 5 keys of size 6, values of size 7
INPUTS = "float[2,3,4,6] q, float[2,3,5,6] k, float[2,3,5,7] v"
OUTPUT = "float[2,3,4,7] y"
NUMBERS = """
    f = Constant <value = float {0.4}> () r = Constant <value = float {2.5}> ()
    minus = Constant <value = float {-0.4}> ()
"""
KEY = "t = Transpose <perm = [0,1,3,2]> (k)"
REST = "p = Softmax (s) y = MatMul (p, v)"

FOUND = {
    "no scale": f"{KEY} s = MatMul (q, t) {REST}",
    "scores scaled": f"{KEY} m = MatMul (q, t) s = Mul (f, m) {REST}",
    "scores divided": f"{KEY} m = MatMul (q, t) s = Div (m, r) {REST}",
    "query scaled": f"{KEY} a = Mul (q, f) s = MatMul (a, t) {REST}",
    "key scaled after transposing": f"{KEY} a = Div (t, r) s = MatMul (q, a) {REST}",
    "all scaled": f"{KEY} a = Mul (q, f) b = Mul (t, f) m = MatMul (a, b) s = Div (m, r) {REST}",
    "axis by number": f"{KEY} s = MatMul (q, t) p = Softmax <axis = 3> (s) y = MatMul (p, v)",
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_found(body: str) -> None:
    result = proven(RecognizeAttention(), graph(f"{INPUTS} => {OUTPUT}", f"{NUMBERS} {body}"))
    assert kinds(result.model) == ["Attention"]


def test_scale_is_written_down() -> None:
    body = f"{NUMBERS} {FOUND['all scaled']}"
    result = proven(RecognizeAttention(), graph(f"{INPUTS} => {OUTPUT}", body))
    scale = node_of(result.model, "Attention").attributes.get_float("scale", 0.0)
    assert np.isclose(scale, 0.4 * 0.4 / 2.5)


def test_key_scaled_before_transposing_keeps_its_product() -> None:
    body = f"{NUMBERS} a = Mul (k, f) t = Transpose <perm = [0,1,3,2]> (a) s = MatMul (q, t) {REST}"
    result = proven(RecognizeAttention(), graph(f"{INPUTS} => {OUTPUT}", body))
    assert kinds(result.model) == ["Mul", "Attention"]


MASKS = [(4, 5), (2, 1, 4, 5), (1, 3, 4, 5), (5,), (1, 1, 1, 5), (2, 1, 1, 5), (2, 3, 4, 1), (1,)]


@pytest.mark.parametrize("opset", [23, 24, 25])
@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_masks(mask: tuple[int, ...], opset: int) -> None:
    body = f"{KEY} m = MatMul (q, t) s = Add (mask, m) {REST}"
    inputs = f"{INPUTS}, float[{','.join(map(str, mask))}] mask"
    result = proven(RecognizeAttention(), graph(f"{inputs} => {OUTPUT}", body, opset=opset))
    full = len(mask) >= 2 and mask[-2:] == (4, 5)
    assert kinds(result.model) == (["Attention"] if full else ["Expand", "Attention"])


def test_constant_mask_is_expanded_at_once() -> None:
    body = f"{KEY} m = MatMul (q, t) s = Add (m, each) {REST}"
    result = proven(RecognizeAttention(), graph(f"{INPUTS} => {OUTPUT}", body, weights(each=(3, 1, 1))))
    assert kinds(result.model) == ["Attention"]


def test_layers_share_an_expanded_mask() -> None:
    layer = "m{0} = MatMul ({1}, t) s{0} = Add (m{0}, mask) p{0} = Softmax (s{0}) {2} = MatMul (p{0}, k)"
    body = f"{KEY} {layer.format(1, 'q', 'z')} {layer.format(2, 'z', 'y')}"
    inputs = "float[1,3,5,6] q, float[1,3,5,6] k, float[1,1,1,5] mask"
    result = proven(RecognizeAttention(), graph(f"{inputs} => float[1,3,5,6] y", body))
    assert kinds(result.model) == ["Expand", "Attention", "Attention"]


def test_heads_split_by_one_transpose() -> None:
    """The transposition of the key merges with the one that splits its heads."""
    body = (
        """
        s4 = Constant <value = int64[4] {2,5,3,6}> () h = Reshape (k, s4)
        t = Transpose <perm = [0,2,3,1]> (h) s = MatMul (q, t)
    """
        + REST
    )
    inputs = "float[2,3,4,6] q, float[2,5,18] k, float[2,3,5,7] v"
    result = proven(RecognizeAttention(), graph(f"{inputs} => {OUTPUT}", body))
    assert kinds(result.model) == ["Transpose", "Attention"]
    assert list(node_of(result.model, "Transpose").attributes.get_ints("perm", ())) == [0, 2, 1, 3]


def test_key_stored_in_another_order() -> None:
    """A Transpose of the key stays one Transpose of the key."""
    body = f"t = Transpose <perm = [0,2,1,3]> (k) s = MatMul (q, t) {REST}"
    inputs = "float[2,3,4,6] q, float[2,6,3,5] k, float[2,3,5,7] v"
    result = proven(RecognizeAttention(), graph(f"{inputs} => {OUTPUT}", body))
    assert kinds(result.model) == ["Transpose", "Attention"]


@settings(max_examples=15, deadline=None)
@given(
    heads=st.lists(st.integers(1, 3), max_size=1),
    masked=st.booleans(),
    sizes=st.tuples(*[st.integers(1, 4)] * 4),
)
def test_other_ranks(heads: list[int], masked: bool, sizes: tuple[int, int, int, int]) -> None:
    queries, keys, size, width = sizes
    shapes = [[*heads, queries, size], [*heads, keys, size], [*heads, keys, width], [queries, keys]]
    q, k, v, mask = (",".join(map(str, shape)) for shape in shapes)
    perm = "[0,2,1]" if heads else "[1,0]"
    add = "s = Add (m, mask)" if masked else "s = Neg (m)"
    body = f"t = Transpose <perm = {perm}> (k) m = MatMul (q, t) {add} {REST}"
    inputs = f"float[{q}] q, float[{k}] k, float[{v}] v, float[{mask}] mask"
    output = ",".join(map(str, [*heads, queries, width]))
    before = graph(f"{inputs} => float[{output}] y", body)
    if masked and min(keys, size) > 1:
        assert kinds(proven(RecognizeAttention(), before).model) == ["Attention"]
    elif not masked:
        unchanged(RecognizeAttention(), before)


KEPT = {
    "key not transposed": (
        "float[2,3,4,6] q, float[2,3,6,5] k, float[2,3,5,7] v",
        f"s = MatMul (q, k) {REST}",
    ),
    "softmax along queries": (
        INPUTS,
        f"{KEY} s = MatMul (q, t) p = Softmax <axis = 2> (s) y = MatMul (p, v)",
    ),
    "negative scale": (INPUTS, f"{KEY} m = MatMul (q, t) s = Mul (m, minus) {REST}"),
    "scale per head": (INPUTS, f"{KEY} m = MatMul (q, t) s = Mul (m, each) {REST}"),
    "keys shared by heads": (
        "float[2,3,4,6] q, float[2,1,5,6] k, float[2,3,5,7] v",
        f"{KEY} s = MatMul (q, t) {REST}",
    ),
    "probabilities read elsewhere": (
        INPUTS,
        f"{KEY} s = MatMul (q, t) p = Softmax (s) z = MatMul (p, v) a = ReduceMax (p) y = Add (z, a)",
    ),
}


@pytest.mark.parametrize(("inputs", "body"), KEPT.values(), ids=KEPT)
def test_kept(inputs: str, body: str) -> None:
    unchanged(
        RecognizeAttention(), graph(f"{inputs} => {OUTPUT}", f"{NUMBERS} {body}", weights(each=(3, 1, 1)))
    )


def test_probabilities_that_are_an_output_are_kept() -> None:
    outputs = f"float[2,3,4,5] p, {OUTPUT}"
    unchanged(RecognizeAttention(), graph(f"{INPUTS} => {outputs}", FOUND["no scale"]))


def test_old_opset_is_kept() -> None:
    unchanged(RecognizeAttention(), graph(f"{INPUTS} => {OUTPUT}", FOUND["no scale"], opset=22))
