"""HardSigmoid and HardSwish in their spellings."""

from __future__ import annotations

import pytest

from edgecompile.passes.recognize_hard_swish import RecognizeHardSwish
from tests.support.passes import graph, kinds, node_of, proven, unchanged

NUMBERS = """
    zero = Constant <value = float {0}> () one = Constant <value = float {1}> ()
    three = Constant <value = float {3}> () six = Constant <value = float {6}> ()
    sixth = Constant <value = float {0.16666667}> () half = Constant <value = float {0.5}> ()
    fifth = Constant <value = float {0.2}> ()
"""
GATE = "a = Add (x, three) c = Clip (a, zero, six)"

FOUND = {
    "clip / 6": (["HardSigmoid"], f"{GATE} y = Div (c, six)"),
    "clip * 1/6": (["HardSigmoid"], f"{GATE} y = Mul (c, sixth)"),
    "clip to one": (["HardSigmoid"], "m = Mul (x, sixth) a = Add (m, half) y = Clip (a, zero, one)"),
    "another slope": (["HardSigmoid"], "m = Mul (x, fifth) a = Add (half, m) y = Clip (a, zero, one)"),
    "x * clip / 6": (["HardSwish"], f"{GATE} m = Mul (x, c) y = Div (m, six)"),
    "x * (clip / 6)": (["HardSwish"], f"{GATE} m = Div (c, six) y = Mul (x, m)"),
    "x / 6 * clip": (["HardSwish"], f"{GATE} m = Mul (x, sixth) y = Mul (c, m)"),
    "x * hard sigmoid": (
        ["HardSwish"],
        "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x) y = Mul (h, x)",
    ),
    "x * clip to one": (
        ["HardSwish"],
        "m = Mul (x, sixth) a = Add (m, half) c = Clip (a, zero, one) y = Mul (x, c)",
    ),
    "x * another slope": (
        ["HardSigmoid", "Mul"],
        "m = Mul (x, fifth) a = Add (m, half) c = Clip (a, zero, one) y = Mul (x, c)",
    ),
    "gate of another value": (
        ["Neg", "HardSigmoid", "Mul"],
        f"o = Neg (x) {GATE} m = Div (c, six) y = Mul (o, m)",
    ),
}


@pytest.mark.parametrize(("expected", "body"), FOUND.values(), ids=FOUND)
def test_found(expected: list[str], body: str) -> None:
    result = proven(RecognizeHardSwish(), graph("float[2,8] x => float[2,8] y", NUMBERS + body))
    assert kinds(result.model) == expected


def test_parameters() -> None:
    result = proven(
        RecognizeHardSwish(), graph("float[8] x => float[8] y", f"{NUMBERS} {GATE} y = Div (c, six)")
    )
    attributes = node_of(result.model, "HardSigmoid").attributes
    assert attributes.get_float("alpha", 0.0) == pytest.approx(1 / 6)
    assert attributes.get_float("beta", 0.0) == pytest.approx(0.5)


KEPT = {
    "plain clip": "y = Clip (x, zero, six)",
    "clip from one": "a = Add (x, three) c = Clip (a, one, six) y = Div (c, six)",
    "wrong divisor": f"{GATE} y = Div (c, three)",
    "hard sigmoid of another slope": "h = HardSigmoid (x) y = Mul (h, x)",
    "times another value": "h = HardSigmoid <alpha = 0.16666667, beta = 0.5> (x) o = Neg (x) y = Mul (h, o)",
    "read elsewhere": f"{GATE} m = Mul (x, c) d = Div (m, six) y = Sub (d, a)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(RecognizeHardSwish(), graph("float[2,8] x => float[2,8] y", NUMBERS + body))
