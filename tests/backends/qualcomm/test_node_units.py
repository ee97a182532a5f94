"""What the passes for the HTP leave is what they were given, in the form that Qualcomm's compiler reads."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgecompile.backends.qualcomm.constraints import TABLE, computes_floats
from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.matching import produced_by
from edgecompile.passes.prove import generate_inputs, run_model
from tests.support.integer_networks import NETWORKS, ROWS, X
from tests.support.networks import small_cnn
from tests.support.operators import normal
from tests.support.qualcomm import npu, output_step, prepared
from tests.support.quantized import QuantizedGraph, as_model, one_operator, quantize
from tests.support.transformers import encoder

_LINEAR = ("QuantizeLinear", "DequantizeLinear")


def operators(model: Model) -> list[str]:
    """The operators that are none of QDQ, in order."""
    return [node.op_type for node in model.graph.graph if node.op_type not in _LINEAR]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_stays_what_it_is(name: str) -> None:
    model = NETWORKS[name]()
    after = prepared(model)
    feeds = generate_inputs(model.inputs, 3)
    step = output_step(model)
    for got, expected in zip(run_model(after, feeds), run_model(model, feeds), strict=True):
        # Where a bias became an integer, a number between two steps may go the other way.
        assert np.abs(got - expected).max() <= 1.01 * step
        assert np.mean(np.abs(got - expected) > step / 2) < 0.02
    assert not TABLE.problems(after.graph.graph, npu(), "hexagon-v73")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_operator_stands_between_its_own_conversions(name: str) -> None:
    model = prepared(NETWORKS[name]())
    assert not [node.name for node in model.graph.graph if computes_floats(node)]
    stored = {node.outputs[0].dtype for node in model.graph.graph if node.op_type == "QuantizeLinear"}
    assert stored == {ir.DataType.UINT8}


def test_a_clamp_goes_where_the_integers_clamp_as_well() -> None:
    model = one_operator("Conv", [X, normal(4, 8, 3, 3)], "int8", {1: 0}, activation="Relu")
    assert operators(prepared(model)) == ["Conv"]


def test_another_clamp_works_on_integers_of_its_own() -> None:
    graph = QuantizedGraph()
    product = graph.node("Add", [graph.input(X), graph.input(normal(1, 8, 9, 9, seed=1))])
    model = graph.model(graph.quantized(graph.node("Relu", [product]), X))  # negative integers exist
    after = prepared(model)
    assert operators(after) == ["Add", "Relu"]
    (relu,) = (node for node in after.graph.graph if node.op_type == "Relu")
    assert produced_by(relu.inputs[0], "DequantizeLinear") is not None


@pytest.mark.parametrize("axis", [0, None])
def test_biases_have_one_scale_or_one_a_channel_as_the_weights(axis: int | None) -> None:
    model = one_operator("Conv", [X, normal(4, 8, 1, 1), normal(4)], "int8", {1: axis}, [2])
    (node,) = (node for node in prepared(model).graph.graph if node.op_type == "Conv")
    bias = produced_by(node.inputs[2], "DequantizeLinear")
    assert bias is not None
    integers, scale = (constant_of(value) for value in bias.inputs)
    assert integers is not None
    assert scale is not None
    assert (integers.dtype, scale.size) == (np.int32, 4 if axis == 0 else 1)


def test_linear_layers_on_sequences_are_dense() -> None:
    x, bias = normal(2, 5, 24), normal(6)
    graph = QuantizedGraph()
    product = graph.node("MatMul", [graph.input(x), graph.weights(normal(24, 6, seed=1), 1)])
    model = graph.model(graph.quantized(graph.node("Add", [product, graph.constant(bias)])))
    after = prepared(model)
    assert operators(after) == ["Reshape", "Gemm", "Reshape"]
    assert not [node.name for node in after.graph.graph if computes_floats(node)]
    feeds = generate_inputs(model.inputs, 0)
    difference = np.abs(run_model(after, feeds)[0] - run_model(model, feeds)[0])
    assert difference.max() <= 1.01 * output_step(model)


def test_what_stays_float_is_named() -> None:
    notes = prepared(as_model(encoder(1))).notes
    assert "norm (LayerNormalization) is computed in 16-bit floats: it is not quantized" in notes


def test_a_quantized_network_names_nothing() -> None:
    notes = prepared(as_model(quantize(small_cnn()))).notes
    assert not [note for note in notes if "16-bit floats" in note]


def test_a_move_keeps_its_padding() -> None:
    pads, value = np.array([0, 0, 0, 3]), np.asarray(0.5, np.float32)
    model = one_operator("Pad", [ROWS, pads, value], constants=[1, 2])
    feeds = generate_inputs(model.inputs, 0)
    np.testing.assert_array_equal(run_model(prepared(model), feeds)[0], run_model(model, feeds)[0])
