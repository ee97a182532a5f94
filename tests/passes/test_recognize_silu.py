"""x * sigmoid(x) becomes one operator."""

from __future__ import annotations

import pytest

from edgecompile.passes.recognize_silu import RecognizeSilu
from tests.support.passes import graph, kinds, node_of, proven, unchanged


@pytest.mark.parametrize("product", ["Mul (x, s)", "Mul (s, x)"])
@pytest.mark.parametrize(("opset", "domain"), [(23, "edgecompile"), (24, ""), (25, "edgecompile")])
def test_found(product: str, opset: int, domain: str) -> None:
    before = graph("float[2,8] x => float[2,8] y", f"s = Sigmoid (x) y = {product}", opset=opset)
    after = proven(RecognizeSilu(), before).model
    assert kinds(after) == ["Swish"]
    assert node_of(after, "Swish").domain == domain


KEPT = {
    "another factor": "s = Sigmoid (x) o = Neg (x) y = Mul (o, s)",
    "sigmoid of another": "o = Neg (x) s = Sigmoid (o) y = Mul (x, s)",
    "read elsewhere": "s = Sigmoid (x) a = Mul (x, s) y = Sub (a, s)",
    "sum": "s = Sigmoid (x) y = Add (x, s)",
    "square of the gate": "s = Sigmoid (x) y = Mul (s, s)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(RecognizeSilu(), graph("float[2,8] x => float[2,8] y", body))


def test_gate_that_is_an_output_is_kept() -> None:
    unchanged(
        RecognizeSilu(), graph("float[8] x => float[8] s, float[8] y", "s = Sigmoid (x) y = Mul (x, s)")
    )
