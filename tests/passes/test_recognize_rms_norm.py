"""RMSNormalization in its spellings."""

from __future__ import annotations

import pytest

from edgecompile.passes.recognize_rms_norm import RecognizeRmsNorm
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

NUMBERS = """
    axes = Constant <value = int64[1] {-1}> () eps = Constant <value = float {1e-5}> ()
    two = Constant <value = float {2}> () minus = Constant <value = float {-0.5}> ()
"""
MEAN = "q = Pow (x, two) v = ReduceMean (q, axes) e = Add (v, eps)"
SHAPES = weights(scale=(8,))

FOUND = {
    "division": f"{MEAN} r = Sqrt (e) n = Div (x, r) y = Mul (scale, n)",
    "reciprocal": f"{MEAN} r = Sqrt (e) i = Reciprocal (r) n = Mul (x, i) y = Mul (n, scale)",
    "inverse root": f"{MEAN} i = Pow (e, minus) n = Mul (i, x) y = Mul (n, scale)",
    "no scale": f"{MEAN} r = Sqrt (e) y = Div (x, r)",
}


@pytest.mark.parametrize("body", FOUND.values(), ids=FOUND)
def test_found(body: str) -> None:
    result = proven(RecognizeRmsNorm(), graph("float[2,3,8] x => float[2,3,8] y", NUMBERS + body, SHAPES))
    assert kinds(result.model) == ["RMSNormalization"]
    assert node_of(result.model, "RMSNormalization").attributes.get_float("epsilon") == pytest.approx(1e-5)


KEPT = {
    "epsilon outside of the root": "q = Mul (x, x) v = ReduceMean (q, axes) r = Sqrt (v) e = Add "
    "(r, eps) y = Div (x, e)",
    "mean of another value": "o = Neg (x) q = Mul (o, o) v = ReduceMean (q, axes) e = Add (v, eps) "
    "r = Sqrt (e) y = Div (x, r)",
    "sum instead of mean": "q = Mul (x, x) v = ReduceSum (q, axes) e = Add (v, eps) r = Sqrt (e) y "
    "= Div (x, r)",
    "mean without its axis": "q = Mul (x, x) v = ReduceMean <keepdims = 0> (q, first) e = Add (v, "
    "eps) r = Sqrt (e) y = Div (x, r)",
    "root read elsewhere": f"{MEAN} r = Sqrt (e) n = Div (x, r) y = Sub (n, r)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    first = "first = Constant <value = int64[1] {0}> ()"
    unchanged(RecognizeRmsNorm(), graph("float[8,8] x => float[8,8] y", NUMBERS + first + body, SHAPES))


def test_old_opset_is_kept() -> None:
    body = NUMBERS + FOUND["division"]
    unchanged(RecognizeRmsNorm(), graph("float[2,8] x => float[2,8] y", body, SHAPES, opset=22))
