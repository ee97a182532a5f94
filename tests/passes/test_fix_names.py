"""After the pass every name is there once."""

from __future__ import annotations

from edgecompile.passes.fix_names import FixNames
from tests.support.graphs import model, run_proven


def test_empty_and_duplicate_names() -> None:
    before = model("g (float[2] x) => (float[2] y) { a = Exp (x) b = Neg (a) y = Exp (b) }")
    first, second, third = before.graph.graph
    first.name, second.name, third.name = "layer", "layer", None
    second.outputs[0].name = "a"
    result = FixNames()(before)
    assert result.modified
    assert [node.name for node in result.model.graph.graph] == ["layer", "layer_1", "Exp_2"]
    assert [node.outputs[0].name for node in result.model.graph.graph] == ["a", "a_1", "y"]


def test_borders_win() -> None:
    before = model("g (float[2] x) => (float[2] y) { a = Exp (x) y = Neg (a) }")
    before.graph.graph.node(0).outputs[0].name = "y"
    result = FixNames()(before)
    assert [value.name for value in result.model.graph.graph.outputs] == ["y"]
    assert result.model.graph.graph.node(0).outputs[0].name == "y_1"


def test_good_names_stay() -> None:
    assert not run_proven(FixNames(), model("g (float[2] x) => (float[2] y) { y = Exp (x) }")).modified
