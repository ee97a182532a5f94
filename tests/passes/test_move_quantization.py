from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.move_quantization import MoveQuantization
from edgecompile.passes.optimize import graph_passes
from tests.support.graphs import operators, run_proven
from tests.support.operators import normal
from tests.support.passes import check_types
from tests.support.quantized import QuantizedGraph

X = normal(1, 4, 6, 6)


def moved(build: Callable[[QuantizedGraph, str], str], like: np.ndarray | None = None) -> Model:
    """A network of one move, after the pass, which is proven to change no bit."""
    graph = QuantizedGraph()
    result = build(graph, graph.input(X))
    before = graph.model(graph.quantized(result, like))
    for step in graph_passes("nchw"):
        before = step(before).model
    after = run_proven(MoveQuantization(), before).model
    check_types(after)
    return after


MOVES: dict[str, Callable[[QuantizedGraph, str], str]] = {
    "Transpose": lambda g, x: g.node("Transpose", [x], perm=[0, 2, 3, 1]),
    "Reshape": lambda g, x: g.node("Reshape", [x, g.constant(np.array([2, 72]))]),
    "MaxPool": lambda g, x: g.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 1, 1]),
    "Pad": lambda g, x: g.node("Pad", [x, g.constant(np.array([0, 0, 1, 2, 0, 0, 0, 1]))]),
    "Resize": lambda g, x: g.node(
        "Resize", [x, "", g.constant(np.array([1, 1, 2, 2], np.float32))], mode="nearest"
    ),
    "Slice": lambda g, x: g.node(
        "Slice", [x, *(g.constant(np.array([n])) for n in (1, 3)), g.constant(np.array([2]))]
    ),
    "Gather": lambda g, x: g.node("Gather", [x, g.constant(np.array([2, 0]))], axis=1),
    "DepthToSpace": lambda g, x: g.node("DepthToSpace", [x], blocksize=2),
    "Concat": lambda g, x: g.node("Concat", [x, x], axis=1),
}


@pytest.mark.parametrize("name", MOVES)
def test_equal_parameters_cancel(name: str) -> None:
    after = moved(MOVES[name], like=X)
    assert operators(after).count("QuantizeLinear") == operators(after).count("DequantizeLinear") == 1
    assert operators(after)[0] == "QuantizeLinear"
    assert operators(after)[-1] == "DequantizeLinear"


def test_greatest_of_all_becomes_an_ordinary_pool() -> None:
    after = moved(lambda g, x: g.node("GlobalMaxPool", [x]), like=X)
    assert operators(after) == ["QuantizeLinear", "MaxPool", "DequantizeLinear"]


def test_other_parameters_are_left_to_be_converted() -> None:
    after = moved(MOVES["Transpose"], like=X * 0.5)
    assert operators(after) == [
        "QuantizeLinear", "Transpose", "DequantizeLinear", "QuantizeLinear", "DequantizeLinear"
    ]  # fmt: skip


def test_padding_that_no_integer_stands_for_stays() -> None:
    def pad(g: QuantizedGraph, x: str) -> str:
        value = g.constant(np.float32(0.1234567))
        return g.node("Pad", [x, g.constant(np.array([0, 0, 1, 2, 0, 0, 0, 1])), value])

    # The padding is rounded by the QuantizeLinear that moves up.
    assert operators(moved(pad, like=X)) == ["QuantizeLinear", "Pad", "DequantizeLinear"]


def test_concat_of_different_scales() -> None:
    graph = QuantizedGraph()
    parts = [graph.input(X), graph.input(X * 3)]
    before = graph.model(graph.quantized(graph.node("Concat", parts, axis=1)))
    after = run_proven(MoveQuantization(), before).model
    assert operators(after)[-2:] == ["Concat", "DequantizeLinear"]


def test_an_activation_stays_behind_the_move() -> None:
    graph = QuantizedGraph()
    pooled = graph.node("MaxPool", [graph.input(X)], kernel_shape=[2, 2])
    before = graph.model(graph.quantized(graph.node("Relu", [pooled])))
    for step in graph_passes("nchw"):
        before = step(before).model
    assert "MaxPoolRelu" in operators(before)
    after = run_proven(MoveQuantization(), before).model
    assert operators(after)[:4] == ["QuantizeLinear", "MaxPool", "DequantizeLinear", "Relu"]


def test_moved_constants_are_constants() -> None:
    graph = QuantizedGraph()
    weights = graph.node("Transpose", [graph.weights(normal(5, 7), None)])
    before = graph.model(graph.quantized(graph.node("MatMul", [graph.input(normal(2, 7)), weights])))
    assert "Transpose" not in operators(run_proven(MoveQuantization(), before).model)
