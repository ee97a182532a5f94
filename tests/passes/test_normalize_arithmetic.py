"""Binary operators with constants second."""

from __future__ import annotations

import pytest

from edgecompile.passes.normalize_arithmetic import NormalizeArithmetic
from tests.support.passes import graph, kinds, proven, unchanged, weights

SHAPES = weights(c=(3,))
CHANGED = {
    "sum of three": ("y = Sum (x, z, c)", ["Add", "Add"]),
    "sum of two": ("y = Sum (x, z)", ["Add"]),
    "sum of one": ("a = Sum (x) y = Relu (a)", ["Relu"]),
    "max of three": ("y = Max (x, z, c)", ["Max", "Max"]),
    "min of three": ("y = Min (c, x, z)", ["Min", "Min"]),
    "mean of three": ("y = Mean (x, z, c)", ["Add", "Add", "Mul"]),
    "constant first": ("a = Add (c, x) y = Mul (c, a)", ["Add", "Mul"]),
    "minus constant": ("y = Sub (x, c)", ["Add"]),
    "square": ("n = Constant <value = int64 {2}> () y = Pow (x, n)", ["Mul"]),
}


@pytest.mark.parametrize(("body", "expected"), CHANGED.values(), ids=CHANGED)
def test_changed(body: str, expected: list[str]) -> None:
    before = graph("float[2,3] x, float[2,1] z => float[2,3] y", body, SHAPES)
    assert kinds(proven(NormalizeArithmetic(), before).model) == expected


KEPT = [
    "y = Add (x, c)",
    "y = Sub (c, x)",
    "y = Div (c, x)",
    "y = Max (x, z)",
    "y = Pow (c, x)",
    "y = Pow (x, c)",
]


@pytest.mark.parametrize("body", KEPT)
def test_kept(body: str) -> None:
    unchanged(NormalizeArithmetic(), graph("float[2,3] x, float[2,1] z => float[2,3] y", body, SHAPES))


def test_integers_are_not_negated() -> None:
    body = "c = Constant <value = uint8 {1}> () y = Sub (x, c)"
    unchanged(NormalizeArithmetic(), graph("uint8[3] x => uint8[3] y", body))
