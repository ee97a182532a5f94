"""TensorFlow Lite's reference kernels compute the very integers of the interpreter from what is written."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.backends.tflite.export import export_tflite
from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import UnsupportedError
from edgecompile.frontend.tflite.schema import read_network
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.integer_networks import NETWORKS, ROWS, X
from tests.support.networks import small_cnn
from tests.support.quantized import QuantizedGraph, as_model, one_operator
from tests.support.tflite_files import needs_tflite, reference

SAMPLES = 8


def prepared(model: Model, integer_io: bool = True) -> Model:
    """After all passes."""
    return Pipeline(tflite_passes(integer_io)).run(model)[0]


@needs_tflite
@pytest.mark.parametrize("name", NETWORKS)
def test_the_file_computes_the_same_integers(name: str) -> None:
    model = prepared(NETWORKS[name]())
    run, network = reference(export_tflite(model)), Interpreter(model)
    for seed in range(SAMPLES):
        inputs = generate_inputs(model.inputs, seed)
        for got, expected in zip(run(*inputs.values()), network.run(inputs), strict=True):
            np.testing.assert_array_equal(got, expected)


@needs_tflite
def test_inputs_and_outputs_may_be_real() -> None:
    model = prepared(NETWORKS["dense"](), integer_io=False)
    run, network = reference(export_tflite(model)), Interpreter(model)
    inputs = generate_inputs(model.inputs, 1)
    assert {array.dtype for array in inputs.values()} == {np.dtype("float32")}
    np.testing.assert_array_equal(run(*inputs.values()), network.run(inputs))


def operators(name: str) -> list[str]:
    """The operators of the file of a network."""
    data = export_tflite(prepared(NETWORKS[name]()))
    return [operator.name for operator in read_network(data, name).operators]


def test_padding_is_the_operators_own_where_it_has_that() -> None:
    assert "PAD" not in operators("conv")
    assert operators("conv with uneven padding").count("PAD") == 1


def test_a_clamp_is_an_activation_function_where_there_is_one() -> None:
    assert operators("clip of a wider range") == ["RELU6"]
    assert operators("clip anywhere") == ["QUANTIZE", "MINIMUM"]


def test_every_problem_is_named() -> None:
    graph = QuantizedGraph()
    x = graph.input(X)
    mish = graph.quantized(graph.node("Gelu", [x]))
    cubic = graph.node("Resize", [mish, "", graph.constant(np.array([1, 1, 2, 2], np.float32))], mode="cubic")
    with pytest.raises(UnsupportedError) as caught:
        export_tflite(prepared(graph.model(graph.quantized(cubic))))
    assert [problem.code for problem in caught.value.problems] == ["EC4540"] * 2
    assert "TensorFlow Lite has no operator for Gelu" in str(caught.value)
    assert "'Resize5': it computes real numbers" in str(caught.value)


def test_networks_of_16_bits_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="it is of 16 bits"):
        export_tflite(prepared(one_operator("Add", [ROWS, ROWS], "int16")))


def test_float_networks_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"EC4543\] the network is not quantized.*quantize it first"):
        export_tflite(prepared(as_model(small_cnn())))
