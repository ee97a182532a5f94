"""Graphs become programs: here, calls of functions that are not generated."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from edgecompile.core import calls
from edgecompile.core.model import Model
from edgecompile.core.target import find_target
from edgecompile.errors import UnsupportedError
from edgecompile.lower.lower import lower_graph
from edgecompile.passes.edit import add_initializer
from tests.support.graphs import model

ISA = find_target("x86-64").isa


def with_call(domain: str) -> Model:
    """x -> Relu -> a function with a constant -> Relu -> y."""
    network = model(
        "g (float[1,6] x) => (float[1,6] y) { a = Relu (x) b = Identity (a) y = Relu (b) }", typed=True
    )
    graph = network.graph.graph
    (old,) = (node for node in graph if node.op_type == "Identity")
    data = add_initializer(graph, "data", np.arange(8, dtype=np.uint8))
    attributes: dict[str, Any] = {calls.WORKSPACE: 48, calls.LAYERS: ["conv", "pool"]}
    new = ir.node("net_npu", [data, old.inputs[0]], attributes, domain=domain, name="net_npu")
    result = new.outputs[0]
    result.name, result.shape, result.type = "b", old.outputs[0].shape, old.outputs[0].type
    ir.convenience.replace_nodes_and_values(graph, old, [old], [new], old.outputs, new.outputs)
    return network


def test_a_call_is_a_step_between_kernels() -> None:
    lowered = lower_graph(with_call(calls.DOMAIN), "net", ISA)
    before, step, after = lowered.program.steps
    assert (step.symbol, step.layers, step.workspace) == ("net_npu", ("conv", "pool"), 48)
    assert (step.reads, step.writes) == (("data", *before.writes), ("b",))
    assert after.reads == ("b",)
    np.testing.assert_array_equal(lowered.program.weights["data"], np.arange(8))
    assert set(lowered.functions) == {before.symbol, after.symbol}


def test_another_unknown_operator_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"EC4010\] operator elsewhere::net_npu is not supported"):
        lower_graph(with_call("elsewhere"), "net", ISA)
