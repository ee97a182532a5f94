"""LayerNormalization in its spellings."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.recognize_layer_norm import RecognizeLayerNorm
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

NUMBERS = """
    axes = Constant <value = int64[1] {-1}> () eps = Constant <value = float {1e-5}> ()
    two = Constant <value = float {2}> () half = Constant <value = float {0.5}> ()
    minus = Constant <value = float {-0.5}> () one = Constant <value = float {1}> ()
"""
CENTER = "mean = ReduceMean (x, axes) d = Sub (x, mean)"
VARIANCE = "q = Mul (d, d) v = ReduceMean (q, axes) e = Add (v, eps)"
ROOT = "r = Sqrt (e) n = Div (d, r)"
AFFINE = "g = Mul (n, scale) y = Add (g, bias)"
SHAPES = weights(scale=(8,), bias=(8,), rows=(3, 1), wide=(2, 1, 8))

FOUND = {
    "division": f"{CENTER} {VARIANCE} {ROOT} {AFFINE}",
    "square by Pow": f"{CENTER} q = Pow (d, two) v = ReduceMean (q, axes) e = Add (eps, v) {ROOT} {AFFINE}",
    "reciprocal": f"{CENTER} {VARIANCE} r = Sqrt (e) i = Reciprocal (r) n = Mul (d, i) {AFFINE}",
    "one over": f"{CENTER} {VARIANCE} r = Sqrt (e) i = Div (one, r) n = Mul (i, d) {AFFINE}",
    "root by Pow": f"{CENTER} {VARIANCE} r = Pow (e, half) n = Div (d, r) {AFFINE}",
    "inverse root by Pow": f"{CENTER} {VARIANCE} i = Pow (e, minus) n = Mul (d, i) {AFFINE}",
    "no bias": f"{CENTER} {VARIANCE} {ROOT} y = Mul (n, scale)",
    "no scale": f"{CENTER} {VARIANCE} {ROOT} y = Add (bias, n)",
    "neither": f"{CENTER} {VARIANCE} r = Sqrt (e) y = Div (d, r)",
    "scalar scale": f"{CENTER} {VARIANCE} {ROOT} y = Mul (n, half)",
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_found(body: str) -> None:
    result = proven(RecognizeLayerNorm(), graph("float[2,3,8] x => float[2,3,8] y", NUMBERS + body, SHAPES))
    assert kinds(result.model) == ["LayerNormalization"]


def test_scale_along_another_axis_stays_outside() -> None:
    body = f"{NUMBERS} {CENTER} {VARIANCE} {ROOT} y = Mul (n, rows)"
    result = proven(RecognizeLayerNorm(), graph("float[2,3,8] x => float[2,3,8] y", body, SHAPES))
    assert kinds(result.model) == ["LayerNormalization", "Mul"]


INNER = f"inner = Constant <value = int64[1] {{1}}> () {CENTER} {VARIANCE} r = Sqrt (e) y = Div (d, r)"
INNER = INNER.replace("axes", "inner")

KEPT = {
    "not centered": "mean = ReduceMean (x, axes) d = Add (x, mean)"
    + f" {VARIANCE} r = Sqrt (e) y = Div (d, r)",
    "mean of another axis": f"other = Constant <value = int64[1] {{1}}> () mean = ReduceMean (x, "
    f"other) d = Sub (x, mean) {VARIANCE} r = Sqrt (e) y = Div (d, r)",
    "inner axis": INNER,
    "no root": f"{CENTER} {VARIANCE} y = Div (d, e)",
    "another numerator": f"{CENTER} {VARIANCE} r = Sqrt (e) y = Div (x, r)",
    "variance read elsewhere": f"{CENTER} {VARIANCE} r = Sqrt (e) n = Div (d, r) y = Sub (n, v)",
    "mean read elsewhere": f"{CENTER} {VARIANCE} r = Sqrt (e) n = Div (d, r) y = Add (n, mean)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(RecognizeLayerNorm(), graph("float[2,3,8] x => float[2,3,8] y", NUMBERS + body, SHAPES))


@settings(max_examples=15, deadline=None)
@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data())
def test_any_trailing_axes(shape: list[int], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(shape) - 1))
    axes = ",".join(str(axis) for axis in range(first, len(shape)))
    numbers = NUMBERS.replace("int64[1] {-1}", f"int64[{len(shape) - first}] {{{axes}}}")
    dims = ",".join(map(str, shape))
    body = f"{numbers} {CENTER} {VARIANCE} {ROOT} {AFFINE}"
    affine = weights(scale=shape[first:], bias=shape[first:])
    result = proven(RecognizeLayerNorm(), graph(f"float[{dims}] x => float[{dims}] y", body, affine))
    assert node_of(result.model, "LayerNormalization").attributes.get_int("axis") == first
