"""Reconstruction of small networks: it helps, it is repeatable, it keeps what must stay."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from edgecompile.core.model import Model
from edgecompile.errors import UnsupportedError
from edgecompile.passes.prove import run_model
from edgecompile.passes.quantize.calibrate import Calibrated, calibrate
from edgecompile.passes.quantize.insert_quantization import Contraction
from edgecompile.passes.quantize.measure import Ratio
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.parameters import QuantizedWeights, along
from edgecompile.passes.quantize.recipes import RECIPES
from edgecompile.torch.reconstruct import reconstruct
from tests.passes.quantize.networks import constants, graph, noise, prepared_cnn
from tests.support.passes import weights

Array = np.ndarray[Any, Any]


def network(sparse: bool = False) -> Model:
    """A residual block on pictures of 8 x 8, and a dense layer; zeros in a pattern of 2:4 if `sparse`."""
    generator = np.random.default_rng(0)
    second = generator.standard_normal((12, 12, 3, 3)) / 10
    if sparse:
        second[:, 2::4] = second[:, 3::4] = 0
    return graph(
        "float[1,1,8,8] x => float[1,10] y",
        """
        a = Conv<pads=[1,1,1,1]>(x, u)
        b = Relu(a)
        c = Conv<pads=[1,1,1,1]>(b, v)
        d = Relu(c)
        e = Conv(d, w)
        f = Add(e, b)
        g = Relu(f)
        h = AveragePool<kernel_shape=[2,2], strides=[2,2]>(g)
        i = Reshape(h, s)
        y = Gemm(i, m)
        """,
        constants(
            u=generator.standard_normal((12, 1, 3, 3)) / 3,
            v=second,
            w=generator.standard_normal((12, 12, 1, 1)) / 4,
            m=generator.standard_normal((192, 10)) / 10,
            s=np.array([1, 192]),
        ),
    )


def digits(first: int, count: int) -> list[Sample]:
    """Pictures whose neighbouring pixels are alike: for noise, the nearest rounding would be the best one."""
    pictures = load_digits().images[first : first + count].astype(np.float32) / 16
    return [{"x": picture[None, None]} for picture in pictures]


def coarse(calibrated: Calibrated, steps: int = 5) -> Calibrated:
    """The same with scales that leave only so many integers on either side of 0, and the nearest of them."""
    found = {}
    for name, one in calibrated.contractions.items():
        first = one.weights
        scales = first.scales * np.float32(127 / steps)
        integers = np.rint(first.real() / along(scales, first.integers.ndim, first.axis)).astype(np.int8)
        found[name] = Contraction(QuantizedWeights(integers, scales, first.axis), one.bias, one.input_scale)
    return dataclasses.replace(calibrated, contractions=found)


def prepare(model: Model, count: int) -> tuple[Calibrated, list[Sample]]:
    samples = digits(0, count)
    return coarse(calibrate(model.copy(), samples, RECIPES["int8"])), samples


def ratio(before: Model, after: Model, samples: Sequence[Sample]) -> float:
    found = Ratio()
    for sample in samples:
        found.add(run_model(before, sample)[0], run_model(after, sample)[0])
    return found.decibels


def integers(calibrated: Calibrated) -> dict[str, Array]:
    return {name: one.weights.integers.astype(int) for name, one in calibrated.contractions.items()}


def test_outputs_come_closer_to_those_of_the_float_network() -> None:
    """On samples that were neither calibrated nor learned with."""
    model = network()
    before, samples = prepare(model, 64)
    after, losses = reconstruct(before, samples, steps=150)
    assert all(loss.after < 0.7 * loss.before for loss in losses)
    fresh = digits(500, 64)
    assert ratio(model, after.quantized(), fresh) > ratio(model, before.quantized(), fresh) + 4


def test_integers_are_at_most_one_from_the_nearest_on_the_same_scales() -> None:
    before, samples = prepare(network(), 16)
    after, _ = reconstruct(before, samples, steps=40)
    old, new = integers(before), integers(after)
    assert any((old[name] != new[name]).any() for name in old)
    assert max(np.abs(old[name] - new[name]).max() for name in old) == 1
    for name, one in after.contractions.items():
        np.testing.assert_array_equal(one.weights.scales, before.contractions[name].weights.scales)
        assert one.input_scale == before.contractions[name].input_scale


def test_the_same_samples_give_the_same_integers() -> None:
    before, samples = prepare(network(), 12)
    threads = torch.get_num_threads()
    first, losses = reconstruct(before, samples, steps=20)
    torch.manual_seed(7)
    second, again = reconstruct(before, samples, steps=20)
    assert first.quantized().to_bytes() == second.quantized().to_bytes()
    assert losses == again
    assert torch.get_num_threads() == threads


def test_weights_that_are_learned_worse_are_not_taken() -> None:
    """Two steps away from 8-bit weights, which are good already, only do harm."""
    model = network()
    samples = digits(0, 16)
    before = calibrate(model.copy(), samples, RECIPES["int8"])
    after, losses = reconstruct(before, samples, steps=2)
    assert [loss.after for loss in losses] == [loss.before for loss in losses]
    assert after.quantized().to_bytes() == before.quantized().to_bytes()


def test_blocks_are_told_of() -> None:
    model = prepared_cnn()
    samples = noise(model, 4)
    told: list[tuple[str, int, int | None]] = []
    _, losses = reconstruct(
        calibrate(model.copy(), samples, RECIPES["int8"]), samples, 2, lambda *step: told.append(step)
    )
    assert told == [("reconstructing", done, 3) for done in range(4)]
    assert [loss.name for loss in losses] == ["stem to pointwise", "classifier"]


def test_patterns_of_zeros_stay() -> None:
    """Every second pair of inputs has no weights."""
    before, samples = prepare(network(sparse=True), 16)
    after, _ = reconstruct(before, samples, steps=60)
    old, new = list(integers(before).values())[1], list(integers(after).values())[1]
    assert (old != new).any()
    assert not new[:, 2::4].any()
    assert not new[:, 3::4].any()


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_samples_are_enough_to_run(count: int) -> None:
    before, samples = prepare(network(), count)
    after, _ = reconstruct(before, samples, steps=3)
    assert np.isfinite(run_model(after.quantized(), samples[0])[0]).all()


def test_samples_that_cannot_be_joined_are_taken_one_by_one() -> None:
    """The leading axis is no axis of samples: it is transposed away."""
    model = graph(
        "float[2,3,4] x => float[4,5] y",
        "t = Transpose<perm=[2,0,1]>(x)\n f = Reshape(t, s)\n y = Gemm(f, w)",
        constants(s=np.array([4, 6]), w=np.random.default_rng(0).standard_normal((6, 5))),
    )
    samples = noise(model, 10)
    before = coarse(calibrate(model.copy(), samples, RECIPES["int8"]))
    _, losses = reconstruct(before, samples, steps=60)
    assert losses[-1].after < losses[-1].before


def test_layers_in_float_stay_as_they_are() -> None:
    model = prepared_cnn()
    samples = noise(model, 8)
    before = calibrate(model.copy(), samples, RECIPES["int8"], keep_float=["pointwise"])
    after, losses = reconstruct(before, samples, steps=5)
    assert "pointwise" not in after.contractions
    assert losses[0].name == "stem to depthwise"


def test_activations_of_16_bits_are_rounded_as_such() -> None:
    """Nothing but the weights is coarse, so learning finds most of what rounding costs."""
    model = network()
    samples = digits(0, 64)
    before = coarse(calibrate(model.copy(), samples, RECIPES["int16x8"]))
    _, losses = reconstruct(before, samples, steps=100)
    assert all(loss.after < loss.before for loss in losses)


def test_operators_that_cannot_be_differentiated_are_named() -> None:
    model = graph(
        "float[1,2,4,4] x => float[1,2,4,4] y",
        "a = Conv(x, w)\n b = LpNormalization<axis=1>(a)\n y = Conv(b, w)",
        weights(w=(2, 2, 1, 1)),
    )
    before = calibrate(model.copy(), noise(model), RECIPES["int8"])
    with pytest.raises(UnsupportedError) as caught:
        reconstruct(before, noise(model))
    assert "error[EC4391] the operator LpNormalization cannot be differentiated" in str(caught.value)
    assert "Fix: quantize without reconstruction." in str(caught.value)
