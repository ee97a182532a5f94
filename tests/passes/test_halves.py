from __future__ import annotations

import pytest

from edgecompile.core.model import Model
from edgecompile.passes.fold_constants import FoldConstants
from edgecompile.passes.halves import is_weights, widens_weights
from tests.support.compact import CompactGraph
from tests.support.passes import kinds, proven
from tests.support.quantized import as_model


def cast_weights(*shape: int, op_type: str = "MatMul") -> Model:
    """An operator whose input 1 is a constant in float16."""
    g = CompactGraph()
    x = g.normal(shape[0], shape[0])
    return as_model(g.model({"x": x}, g.node(op_type, ["x", g.half(g.normal(*shape))])))


def test_weights_stay_in_float16_and_are_not_folded() -> None:
    model = cast_weights(16, 16)
    cast, product = model.graph.graph
    assert widens_weights(cast)
    assert is_weights(cast.outputs[0])
    assert not widens_weights(product)
    assert not FoldConstants()(model).modified


def test_they_are_folded_for_passes_that_want_to_see_them() -> None:
    assert kinds(proven(FoldConstants(keep_halves=False), cast_weights(16, 16)).model) == ["MatMul"]


@pytest.mark.parametrize("model", [cast_weights(15, 17), cast_weights(16, 16, op_type="Add")])
def test_small_constants_and_other_operands_are_folded(model: Model) -> None:
    assert len(kinds(proven(FoldConstants(), model).model)) == 1


def test_a_constant_that_is_weights_and_something_else_is_folded() -> None:
    g = CompactGraph()
    x = g.normal(16, 16)
    w = g.half(g.normal(16, 16))
    y = g.node("Add", [g.node("MatMul", ["x", w]), w])
    assert kinds(proven(FoldConstants(), as_model(g.model({"x": x}, y))).model) == ["MatMul", "Add"]
