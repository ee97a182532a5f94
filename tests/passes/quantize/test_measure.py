"""Signal-to-noise ratios and what is made of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgecompile.passes.quantize.measure import (
    Ratio,
    Sensitivity,
    output_ratio,
    sensitivities,
    suggested_float,
    tensor_ratios,
)
from tests.passes.quantize.networks import constants, graph


def test_a_ratio_over_several_arrays() -> None:
    ratio = Ratio()
    ratio.add(np.array([3.0]), np.array([3.1]))
    ratio.add(np.array([4.0]), np.array([4.0]))
    assert ratio.decibels == pytest.approx(10 * math.log10(25 / 0.01))


def test_no_noise_and_no_signal() -> None:
    equal, wrong = Ratio(), Ratio()
    equal.add(np.ones(2), np.ones(2))
    wrong.add(np.zeros(2), np.ones(2))
    assert (equal.decibels, wrong.decibels) == (math.inf, -math.inf)


def test_tensors_and_outputs_of_two_networks() -> None:
    before = graph("float[1,2] x => float[1,2] y", "a = Relu(x) y = Neg(a)")
    after = graph("float[1,2] x => float[1,2] y", "b = Mul(x, c) y = Neg(b)", constants(c=1.1))
    samples = [{"x": np.array([[1.0, 2.0]], np.float32)}]
    found = tensor_ratios(before, after, {"a": "b", "y": "y"}, samples)
    assert found == {"a": pytest.approx(20, abs=0.01), "y": pytest.approx(20, abs=0.01)}
    assert output_ratio([{"y": np.array([[-1.0, -2.0]])}], after, samples) == pytest.approx(20, abs=0.01)


def test_sensitivities_are_measured_layer_by_layer() -> None:
    before = graph("float[1,2] x => float[1,2] y", "y = Neg(x)")
    off = {"a": 1.1, "b": 1.01}
    found = sensitivities(
        before,
        list(off),
        lambda layer: graph("float[1,2] x => float[1,2] y", "y = Mul(x, c)", constants(c=-off[layer])),
        [{"x": np.ones((1, 2), np.float32)}],
    )
    assert [round(one.decibels) for one in found] == [20, 40]


def test_the_noisiest_layers_are_suggested() -> None:
    found = [
        Sensitivity("a", 40.0),
        Sensitivity("b", 20.0),
        Sensitivity("c", 17.0),
        Sensitivity("d", math.inf),
    ]
    assert suggested_float(found) == ["c", "b"]
    assert suggested_float([Sensitivity("d", math.inf)]) == []
