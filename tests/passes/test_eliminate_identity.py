"""Nodes that change nothing go; the names of inputs and outputs stay."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import pytest

from edgecompile.passes.eliminate_identity import EliminateIdentity
from tests.support.graphs import model, operators, run_proven

# Each computes Neg(x) with one useless node before it.
USELESS = {
    "identity": "a = Identity (x)",
    "dropout": "a = Dropout (x)",
    "dropout, training off": "no = Constant <value = bool {0}> () a = Dropout (x, , no)",
    "cast": "a = Cast <to = 1> (x)",
    "transpose": "a = Transpose <perm = [0,1,2]> (x)",
    "reshape": "s = Constant <value = int64[3] {1,2,-1}> () a = Reshape (x, s)",
    "expand": "s = Constant <value = int64[3] {1,1,1}> () a = Expand (x, s)",
    "tile": "s = Constant <value = int64[3] {1,1,1}> () a = Tile (x, s)",
    "pad": "p = Constant <value = int64[6] {0,0,0,0,0,0}> () a = Pad (x, p)",
    "concat of one": "a = Concat <axis = 0> (x)",
    "sum of one": "a = Sum (x)",
    "max of one": "a = Max (x)",
    "split in one": "a = Split <axis = 1, num_outputs = 1> (x)",
    "slice of all": "s = Constant <value = int64[1] {0}> () e = Constant <value = int64[1] {9}> () a = Slice (x, s, e)",
    "plus zero": "z = Constant <value = float {0}> () a = Add (z, x)",
    "minus zero": "z = Constant <value = float[2,1] {0, 0}> () a = Sub (x, z)",
    "times one": "o = Constant <value = float {1}> () a = Mul (x, o)",
    "by one": "o = Constant <value = float[3] {1, 1, 1}> () a = Div (x, o)",
}


@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_useless_node_is_removed(body: str) -> None:
    text = f"g (float[1,2,3] x) => (float[1,2,3] y) {{ {body} y = Neg (a) }}"
    result = run_proven(EliminateIdentity(), model(text, typed=True))
    assert result.modified
    assert operators(result.model) == ["Neg"]


@pytest.mark.parametrize("body", USELESS.values(), ids=USELESS)
def test_useless_last_node_leaves_the_output_its_name(body: str) -> None:
    text = f"g (float[1,2,3] w) => (float[1,2,3] a) {{ x = Neg (w) {body} }}"
    result = run_proven(EliminateIdentity(), model(text, typed=True))
    assert operators(result.model) == ["Neg"]
    assert [value.name for value in result.model.graph.graph.outputs] == ["a"]


# Each looks useless and is not.
USEFUL = {
    "cast to another type": "a = Cast <to = 11> (x) y = Cast <to = 1> (a)",
    "transpose": "a = Transpose <perm = [0,2,1]> (x) y = Transpose <perm = [0,2,1]> (a)",
    "reversed": "s = Constant <value = int64[1] {-1}> () e = Constant <value = int64[1] {-9}> () ax = Constant <value = int64[1] {2}> () y = Slice (x, s, e, ax, s)",
    "from zero": "z = Constant <value = float {0}> () y = Sub (z, x)",
    "one by": "o = Constant <value = float {1}> () y = Div (o, x)",
    "one that broadcasts": "o = Constant <value = float[2,1,1,1] {1, 1}> () b = Mul (x, o) z = Constant <value = int64[1] {0}> () y = ReduceMean <keepdims = 0> (b, z)",
    "almost one": "o = Constant <value = float[3] {1, 1, 2}> () y = Mul (x, o)",
    "negative padding": "p = Constant <value = int64[6] {0,0,-1,0,0,1}> () y = Pad (x, p)",
    "only output name": "y = Identity (x)",
}  # fmt: skip


@pytest.mark.parametrize("body", USEFUL.values(), ids=USEFUL)
def test_useful_node_stays(body: str) -> None:
    text = f"g (float[1,2,3] x) => (float[1,2,3] y) {{ {body} }}"
    assert not run_proven(EliminateIdentity(), model(text, typed=True)).modified


def test_two_outputs_of_the_same_value_keep_both_names() -> None:
    text = "g (float[2] x) => (float[2] a, float[2] b) { r = Relu (x) a = Identity (r) b = Identity (r) }"
    result = run_proven(EliminateIdentity(), model(text, typed=True))
    assert sorted(operators(result.model)) == ["Identity", "Relu"]
    assert [value.name for value in result.model.graph.graph.outputs] == ["a", "b"]


def test_mask_of_a_dropout_becomes_constant() -> None:
    text = "g (float[2] x) => (float[2] y, bool[2] m) { y, m = Dropout (x) }"
    result = run_proven(EliminateIdentity(), model(text, typed=True))
    assert operators(result.model) == ["Identity", "Identity"]


def test_training_dropout_is_not_an_identity() -> None:
    text = "g (float[2] x) => (float[2] y) { yes = Constant <value = bool {1}> () y = Dropout (x, , yes) }"
    assert not EliminateIdentity()(model(text, typed=True)).modified


def test_subgraphs_are_cleaned_too() -> None:
    text = """g (float[2] x, bool c) => (float[2] y) { y = If (c) <
        then_branch = a () => (float[2] t) { i = Identity (x) t = Neg (i) },
        else_branch = b () => (float[2] e) { i = Exp (x) e = Identity (i) }> }"""
    result = run_proven(EliminateIdentity(), model(text, typed=True))
    assert [node.op_type for node in result.model.graph.graph.all_nodes()] == ["If", "Exp", "Neg"] or [
        node.op_type for node in result.model.graph.graph.all_nodes()
    ] == ["If", "Neg", "Exp"]
