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


def cpu_at_the_end() -> Model:
    """Convolutions of a second input as well, and behind them real numbers: a normalized vector."""
    graph = QuantizedGraph()
    both = [_conv(graph, graph.input(X * (1 + seed)), seed) for seed in (1, 2)]
    joined = graph.quantized(graph.node("Concat", both, axis=1), X)
    mean = graph.quantized(graph.node("GlobalAveragePool", [joined]))
    flat = graph.node("Flatten", [mean])
    return graph.model(graph.node("LpNormalization", [flat], axis=1))


def every_other_channel() -> Model:
    """Convolution, the channels 0, 2, 4 and 6, average: taking them is for the CPU."""
    graph = QuantizedGraph()
    first = _conv(graph, graph.input(X), 1)
    places = [graph.constant(np.array([number])) for number in (0, 8, 1, 2)]
    some = graph.quantized(graph.node("Slice", [first, *places]), X)
    return graph.model(graph.quantized(graph.node("AveragePool", [some], kernel_shape=[3, 3])))


def nothing_for_the_npu() -> Model:
    """Gelu."""
    graph = QuantizedGraph()
    return graph.model(graph.quantized(graph.node("Gelu", [graph.input(X)])))
