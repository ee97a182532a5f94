"""Vectors are copied for each reader; weights and numbers stay shared."""

from __future__ import annotations

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import constant_of
from edgecompile.passes.prove import prove_in_onnxruntime
from edgecompile.passes.prune.separate_constants import SeparateConstants
from tests.passes.prune.nets import Net


def _model() -> Model:
    net = Net()
    bias, weight, number = net.weights(3), net.weights(3, 3, 1, 1), net.const(2.0)
    y = net.op("Conv", "x", weight, bias)
    y = net.op("Mul", net.op("Conv", net.op("Mul", y, number), weight, bias), number)
    return net.model({"x": [1, 3, 6, 6]}, y)


def test_the_pass_copies_vectors_only() -> None:
    model = _model()
    first, second = (node for node in model.graph.graph if node.op_type == "Conv")
    assert first.inputs[1] is second.inputs[1]
    assert first.inputs[2] is not second.inputs[2]
    biases = [constant_of(node.inputs[2]) for node in (first, second)]
    np.testing.assert_array_equal(biases[0], biases[1])
    scales = [node.inputs[1] for node in model.graph.graph if node.op_type == "Mul"]
    assert scales[0] is scales[1]


def test_there_is_nothing_left_to_do() -> None:
    model = _model()
    again = SeparateConstants()(model.copy())
    assert not again.modified
    assert prove_in_onnxruntime(model, again.model) == 0.0
