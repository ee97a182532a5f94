"""Every integer tensor says what it stands for."""

from __future__ import annotations

from edgecompile.backends.tflite.pipeline import tflite_passes
from edgecompile.core.model import tensor_info
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.describe_integers import DescribeIntegers
from tests.support import split_networks
from tests.support.graphs import model


def test_a_move_says_what_its_input_does() -> None:
    prepared, _ = Pipeline(tflite_passes(integer_io=True)).run(split_networks.rows_in_another_order())
    result = DescribeIntegers()(prepared)
    assert result.modified
    infos = {node.op_type: tensor_info(node.outputs[0]) for node in result.model.graph.graph}
    assert infos["Gather"].scale is not None
    for name in ("Gather", "MaxPoolNhwc"):
        assert (infos[name].scale, infos[name].zero_point) == (
            infos["ConvNhwc"].scale,
            infos["ConvNhwc"].zero_point,
        )
    assert not DescribeIntegers()(result.model).modified


def test_quantized_numbers_say_what_they_stand_for() -> None:
    network = model(
        "g (float[4] x) => (int8[4] y) <float s = {0.5}, int8 z = {3}> { y = QuantizeLinear (x, s, z) }",
        typed=True,
    )
    (info,) = DescribeIntegers()(network).model.outputs
    assert (info.scale, info.zero_point) == (0.5, 3)
