"""GELU in all its spellings, and formulas that only look like it."""

from __future__ import annotations

import pytest

from edgecompile.passes.recognize_gelu import RecognizeGelu
from tests.support.passes import graph, kinds, node_of, proven, unchanged

NUMBERS = """
    half = Constant <value = float {0.5}> () one = Constant <value = float {1}> ()
    two = Constant <value = float {2}> () three = Constant <value = float {3}> ()
    root = Constant <value = float {1.41421356}> () inverse = Constant <value = float {0.70710678}> ()
    s = Constant <value = float {0.7978845608}> () c = Constant <value = float {0.044715}> ()
"""
TANH = "cube = Pow (x, three) m = Mul (cube, c) n = Add (x, m) u = Mul (n, s) t = Tanh (u) p = Add (t, one)"
ERF = "u = Div (x, root) e = Erf (u) p = Add (e, one)"

FOUND = {
    "erf: x * p * 1/2": ("none", f"{ERF} a = Mul (x, p) y = Mul (a, half)"),
    "erf: 1/2 x * p": ("none", f"{ERF} a = Mul (half, x) y = Mul (a, p)"),
    "erf: x * (1/2 p)": ("none", f"{ERF} a = Mul (p, half) y = Mul (a, x)"),
    "erf: / 2": ("none", f"{ERF} a = Mul (x, p) y = Div (a, two)"),
    "erf: multiplied out": (
        "none",
        "u = Mul (x, inverse) e = Erf (u) a = Mul (x, half) b = Mul (a, e) y = Add (a, b)",
    ),
    "tanh": ("tanh", f"{TANH} a = Mul (x, half) y = Mul (a, p)"),
    "tanh: cube by products": (
        "tanh",
        f"q = Mul (x, x) cube = Mul (q, x) {TANH[len('cube = Pow (x, three) ') :]} a = Mul (x, p) y "
        f"= Mul (a, half)",
    ),
    "tanh: x factored out": (
        "tanh",
        "q = Mul (x, x) m = Mul (q, c) n = Add (m, one) o = Mul (x, n) u = Mul (s, o) t = Tanh (u) "
        "p = Add (t, one) a = Mul (x, half) y = Mul (a, p)",
    ),
}


@pytest.mark.parametrize(("approximate", "body"), FOUND.values(), ids=FOUND)
def test_found(approximate: str, body: str) -> None:
    result = proven(RecognizeGelu(), graph("float[2,8] x => float[2,8] y", NUMBERS + body))
    assert kinds(result.model) == ["Gelu"]
    assert node_of(result.model, "Gelu").attributes.get_string("approximate") == approximate


def test_of_a_scaled_value() -> None:
    body = f"{NUMBERS} x = Mul (w, two) {ERF} a = Mul (x, p) y = Mul (a, half)"
    assert kinds(proven(RecognizeGelu(), graph("float[8] w => float[8] y", body)).model) == ["Mul", "Gelu"]


KEPT = {
    "wrong scale": "u = Div (x, two) e = Erf (u) p = Add (e, one) a = Mul (x, p) y = Mul (a, half)",
    "wrong sum": "u = Div (x, root) e = Erf (u) p = Add (e, two) a = Mul (x, p) y = Mul (a, half)",
    "not halved": f"{ERF} y = Mul (x, p)",
    "times another value": f"{ERF} o = Neg (x) a = Mul (o, p) y = Mul (a, half)",
    "wrong cubic coefficient": TANH.replace("Mul (cube, c)", "Mul (cube, half)")
    + " a = Mul (x, half) y = Mul (a, p)",
    "gate read elsewhere": f"{ERF} a = Mul (x, p) b = Mul (a, half) y = Sub (b, e)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(RecognizeGelu(), graph("float[2,8] x => float[2,8] y", NUMBERS + body))


def test_graph_output_inside_is_kept() -> None:
    body = f"{NUMBERS} {ERF} a = Mul (x, p) y = Mul (a, half)"
    unchanged(RecognizeGelu(), graph("float[8] x => float[8] a, float[8] y", body))


def test_old_opset_is_kept() -> None:
    body = f"{NUMBERS} {ERF} a = Mul (x, p) y = Mul (a, half)"
    unchanged(RecognizeGelu(), graph("float[8] x => float[8] y", body, opset=19))
