from __future__ import annotations

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.expose_integers import ExposeIntegers
from edgecompile.passes.prove import generate_inputs
from edgecompile.passes.quantize.interpreter import Interpreter
from tests.support.operators import normal
from tests.support.quantized import QuantizedGraph, converted, parameters


def network(dtype: str = "int8") -> Model:
    graph = QuantizedGraph(dtype)
    x = graph.input(normal(2, 6))
    return graph.model(graph.quantized(graph.node("Sigmoid", [x])))


def test_borders_are_integers_with_scale_and_zero_point() -> None:
    before = network()
    after = converted(before, "single", integer_io=True)
    (x,), (y,) = after.inputs, after.outputs
    scale, zero = parameters(normal(2, 6))
    assert (x.name, x.dtype, x.scale, x.zero_point) == ("x0", "int8", float(scale), int(zero))
    assert (y.name, y.dtype) == (before.outputs[0].name, "int8")
    assert y.scale is not None
    again = Model.from_bytes(after.to_bytes(), after.provenance)
    assert (again.inputs, again.outputs) == (after.inputs, after.outputs)


def test_the_integers_are_those_of_the_float_borders() -> None:
    before = network()
    inside, outside = (converted(before, "single", integer_io=exposed) for exposed in (True, False))
    feed = generate_inputs(before.inputs, 0)
    (x,), (y,) = inside.inputs, inside.outputs
    integers = np.clip(np.rint(feed["x0"] / np.float32(x.scale)) + (x.zero_point or 0), -128, 127)
    got = Interpreter(inside).run({"x0": integers.astype(np.int8)})[0]
    real = (got.astype(np.float32) - np.float32(y.zero_point)) * np.float32(y.scale)
    np.testing.assert_array_equal(real, Interpreter(outside).run(feed)[0])


def test_borders_are_int8_for_every_target() -> None:
    after = converted(network("uint8"), "float", "uint8", integer_io=True)
    assert [info.dtype for info in (*after.inputs, *after.outputs)] == ["int8", "int8"]


def test_float_borders_are_left_alone() -> None:
    graph = QuantizedGraph()
    x = graph.input(normal(2, 6))
    before = graph.model(graph.node("Sigmoid", [x]))
    result = ExposeIntegers()(before).model
    assert [info.dtype for info in (*result.inputs, *result.outputs)] == ["int8", "float32"]
