"""Small quantized networks of which an Ethos-U computes some layers and a CPU the others."""

from __future__ import annotations

import numpy as np

from edgecompile.core.model import Model
from tests.support.operators import normal
from tests.support.quantized import QuantizedGraph

X = normal(1, 8, 9, 9)


def _conv(graph: QuantizedGraph, x: str, seed: int) -> str:
    weights = graph.weights(normal(8, 8, 3, 3, seed=seed) / 8)
    return graph.quantized(graph.node("Conv", [x, weights], pads=[1, 1, 1, 1]))


def cpu_in_the_middle() -> Model:
    """Convolution, Gelu, convolution, mean: Gelu is for the CPU."""
    graph = QuantizedGraph()
    first = _conv(graph, graph.input(X), 1)
    middle = graph.quantized(graph.node("Gelu", [first]))
    return graph.model(graph.quantized(graph.node("GlobalAveragePool", [_conv(graph, middle, 2)])))


def cpu_beside() -> Model:
    """Two branches, the one through Gelu and Erf, whose sum and difference are the outputs."""
    graph = QuantizedGraph()
    first = _conv(graph, graph.input(X), 1)
    left = graph.quantized(graph.node("Erf", [_conv(graph, graph.quantized(graph.node("Gelu", [first])), 2)]))
    right = _conv(graph, first, 3)
    results = (graph.node(kind, [left, right]) for kind in ("Add", "Sub"))
    return graph.model(*map(graph.quantized, results))


def real_numbers_in_the_middle() -> Model:
    """Convolution, a normalization of real numbers, and its sum with what it began with."""
    graph = QuantizedGraph()
    first = _conv(graph, graph.input(np.abs(X)), 1)
    largest = graph.node("ReduceMax", [graph.node("Abs", [first])], keepdims=1)
    unit = graph.quantized(graph.node("Div", [first, largest]))
    return graph.model(graph.quantized(graph.node("Add", [unit, first])))


def cpu_at_the_end() -> Model:
    """Convolutions of a second input as well, and behind them real numbers: a normalized vector."""
    graph = QuantizedGraph()
    both = [_conv(graph, graph.input(X * (1 + seed)), seed) for seed in (1, 2)]
    joined = graph.quantized(graph.node("Concat", both, axis=1), X)
    mean = graph.quantized(graph.node("GlobalAveragePool", [joined]))
    flat = graph.node("Flatten", [mean])
    return graph.model(graph.node("LpNormalization", [flat], axis=1))


def taken(op_type: str, *numbers: list[int], **attributes: int) -> Model:
    """Convolution, part of it, maximum."""
    graph = QuantizedGraph()
    first = _conv(graph, graph.input(X), 1)
    places = [graph.constant(np.array(one)) for one in numbers]
    some = graph.quantized(graph.node(op_type, [first, *places], **attributes), graph.values[first])
    return graph.model(graph.quantized(graph.node("MaxPool", [some], kernel_shape=[3, 3])))


def rows_in_another_order() -> Model:
    """To take rows is for the CPU."""
    return taken("Gather", [8, 0, 4, 2], axis=2)


def every_other_channel() -> Model:
    """To take channels is a convolution."""
    return taken("Slice", [1], [8], [1], [2])


def chosen_channels() -> Model:
    """To take channels is a convolution."""
    return taken("Gather", [5, 0, -1], axis=1)


def second_input_first() -> Model:
    """The differences of two inputs, the second of which is read before the first; outputs likewise."""
    graph = QuantizedGraph()
    a, b = graph.input(X), graph.input(normal(1, 8, 9, 9, seed=1) * 2)
    results = [graph.quantized(graph.node("Sub", pair)) for pair in ((b, a), (a, b))]
    return graph.model(*results[::-1])


def two_convolutions() -> Model:
    """All of it is for the NPU."""
    graph = QuantizedGraph()
    return graph.model(_conv(graph, _conv(graph, graph.input(X), 1), 2))


def nothing_for_the_npu() -> Model:
    """Gelu."""
    graph = QuantizedGraph()
    return graph.model(graph.quantized(graph.node("Gelu", [graph.input(X)])))
