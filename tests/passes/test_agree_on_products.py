"""Scales of products are moved until float32 and double precision give one multiplier."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from hypothesis import assume, given
from hypothesis import strategies as st
from onnx import helper

from edgecompile.core.integer import ROUNDING_KEY, decompose
from edgecompile.core.model import Model
from edgecompile.passes.agree_on_products import AgreeOnProducts, agreeing_scale
from tests.support.operators import normal
from tests.support.quantized import QuantizedGraph

SCALES = st.floats(2.0**-16, 8, width=32)
X = normal(1, 4, 5, 6)


@given(SCALES, SCALES, SCALES)
def test_both_ways_to_compute_the_multiplier_agree(a: float, b: float, y: float) -> None:
    scale = agreeing_scale(a, b, y)
    assume(scale is not None)
    assert scale is not None
    assert abs(scale / y - 1) < 2e-4
    single = np.float32(a) * np.float32(b) / np.float32(scale)
    assert decompose(float(single)) == decompose(a * b / scale)


def test_most_scales_can_be_moved() -> None:
    scales = np.random.default_rng(0).lognormal(-3, 2, (100, 3)).astype(np.float32).tolist()
    assert sum(agreeing_scale(a, b, y) is not None for a, b, y in scales) > 85


def product(behind: str = "", **attributes: int) -> Model:
    """x · y, read as it is and after a move of elements `behind`."""
    graph = QuantizedGraph()
    result = graph.quantized(graph.node("Mul", [graph.input(X), graph.input(normal(1, 4, 5, 6, seed=1))]))
    if not behind:
        return graph.model(result)
    stored, factors = f"{result.removesuffix('_r')}_q", graph.nodes[-1].input[1:]
    graph.values[stored] = graph.values[result].astype(np.int8)
    inputs = [stored, stored] if behind == "Concat" else [stored]
    moved = graph.node(behind, inputs, **attributes)
    graph.values[f"{moved}_r"] = graph.values[moved].astype(np.float32)
    graph.nodes.append(helper.make_node("DequantizeLinear", [moved, *factors], [f"{moved}_r"], "again"))
    return graph.model(result, f"{moved}_r")


def scales_of(model: Model) -> list[float]:
    """The scales behind the product, of QuantizeLinear and DequantizeLinear."""
    (node,) = (node for node in model.graph.graph if node.op_type == "Mul")
    pending, scales = [node.outputs[0]], []
    while pending:
        for user in pending.pop().consumers():
            if user.op_type in ("QuantizeLinear", "DequantizeLinear"):
                scales.append(_scale(user))
            pending += user.outputs
    return scales


def test_all_readers_get_the_scale() -> None:
    before = scales_of(product())
    result = AgreeOnProducts()(product("Transpose"))
    after = scales_of(result.model)
    assert result.notes == ("scales of products moved by less than 2e-4 of them: 1",)
    assert len(after) == 3
    assert len(set(after)) == 1
    assert 0 < abs(after[0] / before[0] - 1) < 2e-4
    (node,) = (node for node in result.model.graph.graph if node.op_type == "Mul")
    sources = [value.producer() for value in node.inputs if value is not None]
    a, b = (_scale(source) for source in sources)
    assert agreeing_scale(a, b, after[0]) == after[0]


def _scale(node: ir.Node | None) -> float:
    assert node is not None
    scale = node.inputs[1]
    assert scale is not None
    assert scale.const_value is not None
    return float(scale.const_value.numpy().item())


def test_a_scale_that_others_share_stays() -> None:
    assert not AgreeOnProducts()(product("Concat", axis=1)).modified


def test_specified_integers_stay() -> None:
    model = product()
    model.graph.metadata_props[ROUNDING_KEY] = "double"
    assert not AgreeOnProducts()(model).modified
