from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.move_quantization import MoveQuantization
from edgecompile.passes.unify_integer_types import IntegerType, UnifyIntegerTypes
from tests.support.graphs import operators, run_proven
from tests.support.operators import normal
from tests.support.passes import check_types
from tests.support.quantized import QuantizedGraph

X = normal(1, 4, 6, 6)


def network(dtype: str) -> Model:
    """Relu -> Pad -> MaxPool, quantized everywhere."""
    graph = QuantizedGraph(dtype)
    relu = graph.quantized(graph.node("Relu", [graph.input(X)]))
    padded = graph.node("Pad", [relu, graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))])
    pooled = graph.node("MaxPool", [padded], kernel_shape=[2, 2])
    result = graph.node("Sigmoid", [graph.quantized(pooled, like=graph.values[relu])])
    return MoveQuantization()(graph.model(graph.quantized(result))).model


def types(model: Model) -> list[ir.DataType | None]:
    outputs = [node.outputs[0].dtype for node in model.graph.graph]
    return [dtype for dtype in outputs if dtype != ir.DataType.FLOAT]


@pytest.mark.parametrize(("before", "after"), [("uint8", "int8"), ("int8", "uint8")])
def test_all_activations_change_and_nothing_else(before: str, after: IntegerType) -> None:
    changed = run_proven(UnifyIntegerTypes(after, after), network(before)).model
    check_types(changed)
    assert set(types(changed)) == {ir.DataType[after.upper()]}
    assert operators(changed) == operators(network(before))


def test_borders_have_a_type_of_their_own() -> None:
    changed = run_proven(UnifyIntegerTypes("uint8", "int8"), network("int8")).model
    found = [dtype.name for dtype in types(changed) if dtype is not None]
    assert found[0] == found[-1] == "INT8"
    assert set(found[1:-1]) == {"UINT8"}


def test_16_bits_are_left_alone() -> None:
    before = MoveQuantization()(network("int16")).model
    assert not UnifyIntegerTypes("uint8", "uint8")(before).modified


def test_the_right_type_is_left_alone() -> None:
    assert not UnifyIntegerTypes("int8", "int8")(network("int8")).modified


def test_integers_that_the_caller_sees_are_left_alone() -> None:
    before = network("uint8")
    stored = before.graph.graph[0].outputs[0]
    before.graph.graph.outputs.append(stored)
    changed = run_proven(UnifyIntegerTypes("int8", "int8"), before).model
    assert stored.dtype == ir.DataType.UINT8
    assert ir.DataType.INT8 in types(changed)
