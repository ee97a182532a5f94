"""Names of fused operators are taken apart as they were put together, and their bodies run."""

from __future__ import annotations

import itertools

import onnx_ir as ir
import pytest

from edgecompile.core.fused import (
    ACTIVATIONS,
    DOMAIN,
    FUSIBLE,
    NHWC,
    FusedOp,
    Layout,
    activation_attributes,
    base_attributes,
    declare_functions,
    function_of,
)
from tests.support.graphs import model

LAYOUTS: list[Layout] = ["nchw", "nhwc"]
ALL = [
    FusedOp(base, activation, layout)
    for base, activation, layout in itertools.product(sorted({*FUSIBLE, *NHWC}), ["", *ACTIVATIONS], LAYOUTS)
    if layout == "nchw" or base in NHWC
]


def test_every_name_is_parsed_back() -> None:
    assert all(FusedOp.parse(op.name) == op for op in ALL)
    assert len({op.name for op in ALL}) == len(ALL)


def test_examples() -> None:
    assert FusedOp.parse("ConvTransposeNhwcLeakyRelu") == FusedOp("ConvTranspose", "LeakyRelu", "nhwc")
    assert FusedOp.parse("Swish") == FusedOp("Swish")


@pytest.mark.parametrize("name", ["Nope", "ReluConv", "ConvReluRelu", "", "convrelu"])
def test_unknown_name(name: str) -> None:
    with pytest.raises(KeyError):
        FusedOp.parse(name)


def test_parts_of_nodes() -> None:
    assert FusedOp.of(ir.Node("", "Conv", [])) == FusedOp("Conv")
    assert FusedOp.of(ir.Node(DOMAIN, "AddRelu", [])) == FusedOp("Add", "Relu")
    assert FusedOp.of(ir.Node("com.example", "Conv", [])) is None


def test_attributes_are_told_apart() -> None:
    node = ir.node("ConvLeakyRelu", [], {"group": 2, "activation_alpha": 0.5}, domain=DOMAIN)
    assert set(base_attributes(node)) == {"group"}
    assert activation_attributes(node) == {"alpha": 0.5}


@pytest.mark.parametrize("op", ALL[::7], ids=lambda op: op.name)
def test_body_has_the_operators_of_the_name(op: FusedOp) -> None:
    function = function_of(op, 24)
    body = [node.op_type for node in function]
    assert body[0] == ("Transpose" if op.layout == "nhwc" else op.base)
    assert body.count("Transpose") == (2 if op.layout == "nhwc" else 0)
    assert op.base in body
    activation = "Sigmoid" if op.activation == "Swish" else op.activation
    assert not activation or activation in body


def test_functions_are_declared_as_used() -> None:
    graph = model("g (float[2] x) => (float[2] y) { y = Relu (x) }").graph
    node = graph.graph[0]
    node.op_type, node.domain = "Swish", DOMAIN
    declare_functions(graph)
    assert list(graph.functions) == [(DOMAIN, "Swish", "")]
    assert graph.graph.opset_imports[DOMAIN] == 1
    node.op_type, node.domain = "Relu", ""
    declare_functions(graph)
    assert not graph.functions
    assert DOMAIN not in graph.graph.opset_imports
