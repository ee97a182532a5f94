"""Kernels on 16-bit integers that are no convolutions, against the reference in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.core.integer import ROUNDINGS, Multiplier, Rounding, sum_shift
from tests.support.integer_nodes import IntegerNode, table_of_lines
from tests.support.on_target import Array, isa_of, run_calls


def _data(*shape: int, seed: int = 0) -> Array:
    """Random numbers, and the extremes of both signs next to each other."""
    data = np.random.default_rng(seed).integers(-32768, 32768, shape).astype(np.int16)
    data.flat[: 4 * (data.size // 8)] = np.resize([-32768, -32767, 32767, 0], 4 * (data.size // 8))
    return data


def _node(
    op_type: str, inputs: list[Array], factors: list[float], rounding: Rounding, **attributes: Any
) -> IntegerNode:
    result = {"y_zero": 0, "lo": -20000, "hi": 32767, "rounding": rounding}
    multiplier = Multiplier.of(factors, rounding) if factors else None
    rescale = [multiplier.multiplier, multiplier.shift] if multiplier is not None else []
    return IntegerNode(op_type, (*inputs, *rescale), {**result, **attributes}, constants=len(inputs))


def _nodes(rounding: Rounding) -> list[IntegerNode]:
    zeros = {"a_zero": 0, "b_zero": 0}
    a, b, image = _data(3, 37), _data(3, 37, seed=1)[::-1].copy(), _data(2, 6, 7, 5)
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1], "x_zero": 0}
    return [
        _node("Add", [a, b], [0.5, 0.13, 1.9 / (1 << 15)], rounding, **zeros),
        _node("Sub", [a, b], [0.02, 0.5, 1.1 / (1 << 15)], rounding, **zeros),
        _node("Mul", [a, b], [0.9 / 32768], rounding, **zeros),
        _node("Requantize", [a], [1.7], rounding, x_zero=0),
        _node("MatMul", [a, b.T.copy()], [2e-8 * 2.0**6], rounding, sum_shift=sum_shift(37 << 30), **zeros),
        _node("AveragePoolNhwc", [image], [], rounding, **window),
        _node("AveragePoolNhwc", [image], [0.7], rounding, count_include_pad=1, **window),
        _node("GlobalAveragePoolNhwc", [image], [1.3], rounding, x_zero=0),
        _node("ReduceMean", [image], [0.3], rounding, x_zero=0, axes=[1, 3], keepdims=0),
        IntegerNode("Table", (a, table_of_lines(np.tanh)), {}),
    ]


@pytest.mark.parametrize("target", ["host", "cortex-a7", "cortex-a72", "cortex-a76"])
def test_every_operator(target: str) -> None:
    nodes = [node for rounding in ROUNDINGS for node in _nodes(rounding)]
    isa = isa_of(target)
    for node, outcome in zip(nodes, run_calls(target, [node.call(isa) for node in nodes], isa), strict=True):
        assert len(np.unique(node.expected)) > 5
        np.testing.assert_array_equal(outcome.result, node.expected, f"{node.op_type} {node.attributes}")
