"""Functions that the model defines disappear; their nodes carry the name of the call."""

from __future__ import annotations

from edgecompile.passes.inline_functions import InlineFunctions
from edgecompile.passes.upgrade_opset import UpgradeOpset
from tests.support.graphs import model, operators, run_proven

BLOCK = """<domain: "local", opset_import: ["" : 24, "local" : 1]>
    block <alpha> (a) => (b) { r = LeakyRelu <alpha : float = @alpha> (a) b = Neg (r) }"""
OUTER = """<domain: "local", opset_import: ["" : 24, "local" : 1]>
    outer (a) => (b) { m = local.block <alpha = 0.5> (a) b = local.block <alpha = 0.1> (m) }"""


def test_calls_are_replaced_by_the_body() -> None:
    text = "g (float[4] x) => (float[4] y) { y = local.block <alpha = 0.3> (x) }"
    result = run_proven(InlineFunctions(), model(text, functions=BLOCK))
    assert operators(result.model) == ["LeakyRelu", "Neg"]
    assert [node.name for node in result.model.graph.graph] == ["block_0/LeakyRelu_0", "block_0/Neg_1"]
    assert not result.model.graph.functions


def test_nested_calls_with_attributes() -> None:
    text = "g (float[4] x) => (float[4] y) { t = local.outer (x) y = local.outer (t) }"
    result = run_proven(InlineFunctions(), model(text, functions=BLOCK + OUTER))
    assert operators(result.model) == ["LeakyRelu", "Neg"] * 4
    names = [value.name for node in result.model.graph.graph for value in node.outputs]
    assert len(set(names)) == 8
    assert [value.name for value in result.model.graph.graph.outputs] == ["y"]
    assert all("outer_" in (node.name or "") for node in result.model.graph.graph)


def test_calls_in_subgraphs() -> None:
    text = """g (float[4] x, bool c) => (float[4] y) { y = If (c) <
        then_branch = a () => (float[4] t) { t = local.block <alpha = 0.3> (x) },
        else_branch = b () => (float[4] e) { e = Exp (x) }> }"""
    result = run_proven(InlineFunctions(), model(text, functions=BLOCK))
    assert {node.op_type for node in result.model.graph.graph.all_nodes()} == {
        "If",
        "LeakyRelu",
        "Neg",
        "Exp",
    }


def test_function_of_an_older_opset_is_inlined_after_the_upgrade() -> None:
    old = """<domain: "local", opset_import: ["" : 11]>
        squeeze (a) => (b) { b = Squeeze <axes = [0]> (a) }"""
    text = "g (float[1,4] x) => (float[4] y) { y = local.squeeze (x) }"
    upgraded = UpgradeOpset()(model(text, 20, functions=old)).model
    assert operators(InlineFunctions()(upgraded).model) == ["Constant", "Squeeze"]


def test_unused_functions_go_and_models_without_functions_stay() -> None:
    text = "g (float[4] x) => (float[4] y) { y = Relu (x) }"
    assert not run_proven(InlineFunctions(), model(text)).modified
    assert not InlineFunctions()(model(text, functions=BLOCK)).model.graph.functions
