"""What no output needs is gone; the signature stays."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

from edgecompile.passes.eliminate_dead_code import EliminateDeadCode
from tests.support.graphs import model, operators, run_proven


def test_unread_nodes_and_constants_go() -> None:
    text = """g (float[2] x) => (float[2] y) <float[2] u = {1, 2}, float[2] w = {1, 2}> {
        a = Exp (x) b = Add (a, u) c = Neg (b) y = Mul (x, w) }"""
    result = run_proven(EliminateDeadCode(), model(text))
    assert operators(result.model) == ["Mul"]
    assert list(result.model.graph.graph.initializers) == ["w"]


def test_unread_optional_outputs_go() -> None:
    text = "g (float[1,1,4,4] x) => (float[1,1,2,2] y) { y, i = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x) }"
    result = run_proven(EliminateDeadCode(), model(text))
    assert [len(node.outputs) for node in result.model.graph.graph] == [1]


def test_unread_inputs_stay() -> None:
    text = "g (float[2] x, float[3] unused) => (float[2] y) { y = Exp (x) }"
    result = run_proven(EliminateDeadCode(), model(text))
    assert [info.name for info in result.model.inputs] == ["x", "unused"]


def test_live_graph_is_not_touched() -> None:
    before = EliminateDeadCode()(model("g (float[2] x) => (float[2] y) { a = Exp (x) y = Neg (a) }")).model
    assert not run_proven(EliminateDeadCode(), before).modified
