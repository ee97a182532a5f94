"""A rule's docstring is the message of its error and the text of the printed table."""

from __future__ import annotations

import onnx_ir as ir
import pytest

from edgecompile.backends.constraints import Constraints
from edgecompile.errors import UnsupportedError


def is_named(node: ir.Node, prefix: str) -> bool:
    """The name begins
    as it should.

    Fix: rename
    the layer
    """
    return str(node.name).startswith(prefix)


def has_one_input(node: ir.Node, prefix: str) -> bool:
    """There is one input."""
    return len(node.inputs) == 1


TABLE: Constraints[str] = Constraints(
    {"Relu": (), "Add": (has_one_input,)}, (is_named,), lambda node: node.op_type, "EC4999"
)


def node(op_type: str, name: str, inputs: int = 1) -> ir.Node:
    return ir.node(op_type, [ir.Value(name=f"x{i}") for i in range(inputs)], name=name)


def test_every_broken_rule_is_a_problem() -> None:
    nodes = [node("Relu", "a1"), node("Relu", "b1"), node("Add", "a2", 2), node("Celu", "a3")]
    problems = TABLE.problems(nodes, "a", "some-npu")
    assert [(problem.code, problem.where) for problem in problems] == [
        ("EC4999", "b1"),
        ("EC4999", "a2"),
        ("EC4999", "a3"),
    ]
    assert problems[0].why == "The name begins as it should."
    assert problems[0].fix == "rename the layer"
    assert problems[1].what == "Add cannot be computed by some-npu"
    assert problems[1].fix == "compile for a CPU, or leave the layer out of the network"
    assert problems[2].why == "it is none of its operators"


def test_the_table_is_printed() -> None:
    assert TABLE.rows() == [
        ("all", "The name begins as it should."),
        ("Add", "There is one input."),
        ("Relu", ""),
    ]
    assert TABLE.markdown().splitlines() == [
        "| operator | what must hold |",
        "|---|---|",
        "| all | The name begins as it should. |",
        "| Add | There is one input. |",
        "| Relu |  |",
    ]


def test_all_problems_are_one_error() -> None:
    TABLE.check([node("Relu", "a1")], "a", "some-npu")
    with pytest.raises(UnsupportedError) as refused:
        TABLE.check([node("Relu", "b1"), node("Celu", "a3")], "a", "some-npu")
    assert [problem.where for problem in refused.value.problems] == ["b1", "a3"]
