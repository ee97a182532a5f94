"""Operators are replaced by the bodies that ONNX gives them, down to what is kept."""

# ruff: noqa: E501  (a graph reads best in one line)

from __future__ import annotations

import pytest

from edgecompile.passes.expand_functions import ExpandFunctions
from edgecompile.passes.fold_constants import FoldConstants
from tests.support.graphs import model, operators, run_proven

NOTHING: frozenset[tuple[str, str]] = frozenset()


def test_a_function_operator_becomes_its_body() -> None:
    text = "g (float[2,3] x) => (float[2,3] y) { y = Softsign (x) }"
    result = run_proven(ExpandFunctions(NOTHING), model(text, typed=True))
    assert operators(result.model) == ["Abs", "Add", "Div"]
    assert [node.name for node in result.model.graph.graph] == [
        "Softsign_0/Abs_2",
        "Softsign_0/Add_3",
        "Softsign_0/Div_4",
    ]
    assert not result.model.graph.functions


def test_kept_operators_stay() -> None:
    text = "g (float[2,3] x) => (float[2,3] y) { a = Softsign (x) y = Mish (a) }"
    result = run_proven(ExpandFunctions({("", "Mish"), ("", "Softplus")}), model(text, typed=True))
    assert operators(result.model) == ["Abs", "Add", "Div", "Mish"]
    assert not ExpandFunctions({("", "Mish"), ("", "Softsign")})(model(text, typed=True)).modified


BODIES = {
    "depends on types": "g (float[2,3] x, float[3] s) => (float[2,3] y) { y = LayerNormalization <axis = 1> (x, s) }",
    "attribute default": "g (float[2,3] x) => (float[2,3] y) { y = LeakyRelu (x) }",
    "attribute given": "g (float[2,3] x) => (float[2,3] y) { y = Elu <alpha = 0.5> (x) }",
    "optional input left out": "g (float[2,3] x) => (float[2,3] y) <float one = {0.5}> { y = Clip (x, , one) }",
    "function of functions": "g (float[1,4,5] x, float[4] s) => (float[1,4,5] y) { y = GroupNormalization <num_groups = 2> (x, s, s) }",
    "several outputs": "g (float[2,4] x) => (uint8[2,4] y, float s, uint8 z) { y, s, z = DynamicQuantizeLinear (x) }",
    "loss": "g (float[3,5] x, int64[3] t) => (float y) { y = SoftmaxCrossEntropyLoss (x, t) }",
    "older body": "g (float[2,3] x) => (float[2,3] y) { y = Swish (x) }",
    "attention": "g (float[1,2,5,4] q) => (float[1,2,5,4] y) { y = Attention <is_causal = 1> (q, q, q) }",
    "rotary embedding": "g (float[1,2,4,4] x, float[4,2] c, int64[1,4] p) => (float[1,2,4,4] y) { y = RotaryEmbedding (x, c, c, p) }",
    "affine grid": "g (float[2,2,3] t) => (float[2,4,5,2] y) <int64[4] s = {2,1,4,5}> { y = AffineGrid (t, s) }",
    "in a branch": """g (float[2] x, bool c) => (float[2] y) { y = If (c) <
        then_branch = a () => (float[2] t) { t = Softsign (x) }, else_branch = b () => (float[2] e) { e = Mish (x) }> }""",
}  # fmt: skip


@pytest.mark.parametrize("text", BODIES.values(), ids=BODIES)
def test_expanded_graph_computes_the_same(text: str) -> None:
    before = model(text, typed=True)
    kinds = set(operators(before))
    result = run_proven(ExpandFunctions(NOTHING), before)
    assert result.modified
    assert not kinds & set(operators(result.model)) - {"If"}


@pytest.mark.parametrize("text", BODIES.values(), ids=BODIES)
def test_expanded_graph_has_types_everywhere(text: str) -> None:
    result = ExpandFunctions(NOTHING)(model(text, typed=True)).model
    values = [value for node in result.graph.graph.all_nodes() for value in node.outputs if value.name]
    assert all(value.shape is not None and value.shape.is_static() and value.dtype for value in values)
    assert len({value.name for value in values}) == len(values)


def test_body_that_is_wrong_for_a_batch_of_one_is_not_used() -> None:
    text = "g (float[1,2,3] t) => (float[1,4,5,2] y) <int64[4] s = {1,1,4,5}> { y = AffineGrid (t, s) }"
    assert not run_proven(ExpandFunctions(NOTHING), model(text, typed=True)).modified


def test_newer_opset_gets_a_body_in_its_own_operators() -> None:
    """Swish's body was written for opset 24; at 28 it still has to be valid."""
    text = "g (float[2,3] x) => (float[2,3] y) { y = Swish (x) }"
    result = run_proven(ExpandFunctions(NOTHING), model(text, 28, typed=True))
    assert "Swish" not in operators(result.model)


def test_graph_of_primitives_is_not_touched() -> None:
    text = "g (float[2,3] x) => (float[2,3] y) { y = Exp (x) }"
    assert not run_proven(ExpandFunctions(NOTHING), model(text, typed=True)).modified


def test_calls_of_the_same_operator_do_not_share_names() -> None:
    text = "g (float[2] x) => (float[2] y) { a = Softsign (x) y = Softsign (a) }"
    result = run_proven(ExpandFunctions(NOTHING), model(text, typed=True))
    names = [node.name for node in result.model.graph.graph]
    assert len(set(names)) == len(names) == 6
    assert not FoldConstants()(result.model).modified
