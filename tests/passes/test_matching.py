"""Formulas are recognised whatever their spelling."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.matching import (
    ancestors,
    close,
    descendants,
    is_enclosed,
    only_reader,
    other_input,
    polynomial,
    produced_by,
    same_polynomial,
    scalar,
)
from tests.support.passes import graph

NUMBERS = "two = Constant <value = float {2}> () three = Constant <value = float {3}> ()"


def formula(body: str) -> Model:
    return graph("float[4] x, float[4] z => float[4] y", f"{NUMBERS} {body}")


def value(model: Model, name: str) -> ir.Value:
    values = [*model.graph.graph.inputs, *(output for node in model.graph.graph for output in node.outputs)]
    (found,) = (candidate for candidate in values if candidate.name == name)
    return found


FORMULAS = {
    "line": ("a = Mul (x, two) y = Add (a, three)", {(1, 0): 2.0, (0, 0): 3.0}),
    "difference": ("a = Sub (x, z) y = Div (a, two)", {(1, 0): 0.5, (0, 1): -0.5}),
    "square": ("a = Add (x, z) y = Mul (a, a)", {(2, 0): 1.0, (1, 1): 2.0, (0, 2): 1.0}),
    "cube": ("a = Neg (x) y = Pow (a, three)", {(3, 0): -1.0}),
    "constant first": ("y = Sub (three, x)", {(1, 0): -1.0, (0, 0): 3.0}),
    "cancelled": ("a = Sub (x, x) y = Add (a, z)", {(0, 1): 1.0}),
}


@pytest.mark.parametrize(("body", "wanted"), FORMULAS.values(), ids=FORMULAS)
def test_polynomial(body: str, wanted: dict[tuple[int, ...], float]) -> None:
    model = formula(body)
    found = polynomial(value(model, "y"), [value(model, "x"), value(model, "z")])
    assert same_polynomial(found, wanted, ir.DataType.FLOAT)
    assert not same_polynomial(found, {**wanted, (4, 0): 1.0}, ir.DataType.FLOAT)


NONE = {
    "another function": "y = Exp (x)",
    "divided by x": "y = Div (two, x)",
    "power of x": "y = Pow (two, x)",
    "fractional power": "h = Constant <value = float {0.5}> () y = Pow (x, h)",
    "degree too high": "a = Pow (x, three) y = Pow (a, two)",
}


@pytest.mark.parametrize("body", NONE.values(), ids=NONE)
def test_no_polynomial(body: str) -> None:
    model = formula(body)
    assert polynomial(value(model, "y"), [value(model, "x"), value(model, "z")]) is None


def test_neighbourhood() -> None:
    model = formula("a = Mul (x, two) b = Add (a, z) e = Exp (b) y = Neg (e)")
    assert [v.name for v in ancestors(value(model, "b"))] == ["b", "a", "z", "x"]
    assert [v.name for v in descendants(value(model, "x"))] == ["x", "a", "b"]
    assert scalar(produced_by(value(model, "a"), "Mul").inputs[1]) == 2.0  # type: ignore[union-attr]
    assert produced_by(value(model, "a"), "Add") is None
    assert only_reader(value(model, "a")) is value(model, "b").producer()
    assert only_reader(value(model, "y")) is None


def test_other_input() -> None:
    model = formula("a = Add (x, z) y = Mul (a, a)")
    add, square = model.graph.graph
    assert other_input(add, value(model, "x")) is value(model, "z")
    assert other_input(square, value(model, "a")) is None


def test_enclosed() -> None:
    model = formula("a = Neg (x) b = Exp (a) d = Mul (a, b) y = Add (d, b)")
    assert is_enclosed(value(model, "y"), [value(model, "x")])
    assert not is_enclosed(value(model, "d"), [value(model, "x")])


def test_precision_decides_what_is_close() -> None:
    assert not close(0.7072, 0.70711, ir.DataType.FLOAT)
    assert close(0.7072, 0.70711, ir.DataType.FLOAT16)
    assert not close(None, 0.0, ir.DataType.FLOAT)
