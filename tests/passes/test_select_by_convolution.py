"""Taking channels by a convolution gives the very integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.describe_integers import DescribeIntegers
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from edgecompile.passes.select_by_convolution import SelectByConvolution
from tests.support import split_networks


def prepared(model: Model) -> Model:
    """The network in integers, each of which says what it stands for."""
    return Pipeline((*tflite_passes(integer_io=True), DescribeIntegers())).run(model)[0]


@pytest.mark.parametrize("make", [split_networks.every_other_channel, split_networks.chosen_channels])
def test_the_integers_are_the_same(make: Callable[[], Model]) -> None:
    before = prepared(make())
    result = SelectByConvolution("double")(before.copy())
    assert result.modified
    assert {node.op_type for node in result.model.graph.graph}.isdisjoint({"Slice", "Gather"})
    for seed in range(5):
        inputs = generate_inputs(before.inputs, seed)
        for got, expected in zip(
            Interpreter(result.model).run(inputs), Interpreter(before).run(inputs), strict=True
        ):
            np.testing.assert_array_equal(got, expected)


def test_other_axes_and_neighbours_stay() -> None:
    rows = SelectByConvolution("double")(prepared(split_networks.rows_in_another_order()))
    assert not rows.modified
    neighbours = split_networks.taken("Slice", [2], [5], [1], [1])
    assert not SelectByConvolution("double")(prepared(neighbours)).modified


def test_moves_say_what_their_integers_stand_for() -> None:
    model = prepared(split_networks.rows_in_another_order())
    (node,) = (node for node in model.graph.graph if node.op_type == "Gather")
    source, result = node.inputs[0], node.outputs[0]
    assert source is not None
    assert "edgecompile.scale" in result.metadata_props
    assert result.metadata_props == source.metadata_props
