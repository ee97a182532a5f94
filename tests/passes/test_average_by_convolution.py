"""Quantized averages that change the scale become convolutions with equal weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgecompile.core.model import Model
from edgecompile.passes.average_by_convolution import AverageByConvolution
from tests.support.operators import normal
from tests.support.passes import kinds, proven, unchanged
from tests.support.quantized import QuantizedGraph, one_operator

X = normal(1, 8, 9, 9)


def _axes(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(numbers, np.int64)


REWRITTEN: dict[str, Callable[[], Model]] = {
    "global": lambda: one_operator("GlobalAveragePool", [X]),
    "window": lambda: one_operator("AveragePool", [X], kernel_shape=[3, 3], strides=[2, 2]),
    "window that counts its padding": lambda: one_operator(
        "AveragePool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1
    ),
    "mean of an image": lambda: one_operator("ReduceMean", [X, _axes(2, 3)], constants=[1], keepdims=0),
    "mean of rows": lambda: one_operator("ReduceMean", [normal(2, 5, 24), _axes(-1)], constants=[1]),
}
KEPT: dict[str, Callable[[], Model]] = {
    "window that does not count its padding": lambda: one_operator(
        "AveragePool", [X], kernel_shape=[3, 3], pads=[1, 1, 1, 1]
    ),
    "mean of distant axes": lambda: one_operator("ReduceMean", [X, _axes(1, 3)], constants=[1]),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_becomes_a_convolution(name: str) -> None:
    after = proven(AverageByConvolution(), REWRITTEN[name]()).model
    assert not {"AveragePool", "GlobalAveragePool", "ReduceMean"} & set(kinds(after))
    assert sum(kind.startswith("Conv") for kind in kinds(after)) == 1


@pytest.mark.parametrize("name", KEPT)
def test_is_kept(name: str) -> None:
    unchanged(AverageByConvolution(), KEPT[name]())


def test_a_pool_with_one_scale_is_kept() -> None:
    graph = QuantizedGraph()
    pooled = graph.node("GlobalAveragePool", [graph.input(X)])
    unchanged(AverageByConvolution(), graph.model(graph.quantized(pooled, X)))
