"""Equal constants and equal computations are merged, others are not."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

from edgecompile.passes.merge_duplicates import MergeDuplicates
from tests.support.graphs import model, operators, run_proven


def test_equal_nodes_become_one() -> None:
    text = "g (float[2] x) => (float[2] y) { a = Exp (x) b = Exp (x) c = Neg (a) d = Neg (b) y = Add (c, d) }"
    result = run_proven(MergeDuplicates(), model(text))
    assert operators(result.model) == ["Exp", "Neg", "Add"]
    assert [node.name for node in result.model.graph.graph] == ["Exp_0", "Neg_2", "Add_4"]


def test_equal_constants_become_one() -> None:
    text = """g (float[2] x) => (float[2] y) <float[2] u = {1, 2}, float[2] v = {1, 2}, float[2] w = {2, 1}> {
        a = Add (x, u) b = Mul (a, v) y = Sub (b, w) }"""
    result = run_proven(MergeDuplicates(), model(text))
    assert list(result.model.graph.graph.initializers) == ["u", "w"]


def test_constants_of_other_types_or_shapes_differ() -> None:
    text = """g (float[2] x) => (float[1,2] y, int32[2] z) <float[2] u = {0, 0}, float[1,2] v = {0, 0},
        int32[2] w = {0, 0}> { a = Add (x, u) y = Add (a, v) z = Identity (w) }"""
    assert not run_proven(MergeDuplicates(), model(text)).modified


def test_other_attributes_differ() -> None:
    text = """g (float[2] x) => (float[2] y) { a = Elu <alpha = 0.5> (x) b = Elu <alpha = 0.25> (x) y = Add (a, b) }"""
    assert not run_proven(MergeDuplicates(), model(text)).modified


def test_random_nodes_are_not_merged() -> None:
    text = """g (float[2] x) => (float[2] y) {
        a = RandomNormal <shape = [2]> () b = RandomNormal <shape = [2]> () c = Sub (a, b) y = Add (x, c) }"""
    assert not MergeDuplicates()(model(text)).modified


def test_outputs_keep_their_names() -> None:
    text = "g (float[2] x) => (float[2] a, float[2] b) { a = Exp (x) b = Exp (x) }"
    result = run_proven(MergeDuplicates(), model(text))
    assert operators(result.model) == ["Exp", "Identity"]
    assert [value.name for value in result.model.graph.graph.outputs] == ["a", "b"]
