"""Rounding while training: the same parameters as quantization after training, and gradients that pass."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.quantize.parameters import asymmetric
from edgecompile.passes.quantize.ranges import Range
from edgecompile.torch.fake_quantize import PerChannelWeights, PerTensorRange

_ENDS = st.floats(-1e4, 1e4, width=32).map(lambda end: end if abs(end) > 1e-6 else 0.0)


def seen(*values: float) -> PerTensorRange:
    module = PerTensorRange()
    module.train()
    module(torch.tensor(values))
    return module


@given(_ENDS, _ENDS)
def test_scale_and_zero_point_are_those_of_quantization_after_training(a: float, b: float) -> None:
    module = seen(a, b)
    want = asymmetric(Range.of(min(a, b), max(a, b)))
    assert module.scale.item() == pytest.approx(want.scale, rel=1e-6)
    assert abs(module.zero_point.item() - want.zero) <= 1  # both round the same number, in other precisions
    assert -128 <= module.zero_point.item() <= 127
    assert module.zero_point.dtype == torch.int32


@given(_ENDS, _ENDS)
def test_zero_is_exact_and_results_are_on_the_grid(a: float, b: float) -> None:
    module = seen(a, b).eval()
    x = torch.tensor([0.0, a, b, (a + b) / 2])
    y = module(x)
    assert y[0] == 0
    integers = y / module.scale + module.zero_point
    assert (integers - integers.round()).abs().max() < 1e-3
    assert integers.min() > -128.01
    assert integers.max() < 127.01


def test_nothing_is_rounded_or_observed_before_training() -> None:
    module = PerTensorRange().eval()
    x = torch.tensor([0.123, 7.0])
    assert torch.equal(module(x), x)
    assert not module.observed


def test_evaluation_does_not_move_the_range() -> None:
    module = seen(-1.0, 1.0).eval()
    module(torch.tensor([100.0]))
    assert (module.low.item(), module.high.item()) == (-1.0, 1.0)


def test_one_batch_moves_the_range_by_one_hundredth() -> None:
    module = seen(-1.0, 1.0)
    module(torch.tensor([0.5, 2.0]))
    assert module.low.item() == pytest.approx(-0.99)
    assert module.high.item() == pytest.approx(1.01)


def test_a_range_that_is_given_never_moves() -> None:
    module = PerTensorRange(low=0.0, high=255 / 256).train()
    module(torch.tensor([-5.0, 5.0]))
    assert (module.scale.item(), module.zero_point.item()) == (1 / 256, -128)


def test_gradients_pass_inside_the_range_only() -> None:
    module = seen(-1.0, 1.0).eval()
    x = torch.tensor([-2.0, -0.5, 0.3, 2.0], requires_grad=True)
    module(x).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 0.0]


def test_a_range_that_is_not_a_number_is_kept_for_the_report() -> None:
    module = seen(math.nan)
    assert module.observed
    assert not torch.isfinite(module.scale)


def test_weights_have_a_scale_a_channel_and_no_zero_point() -> None:
    module = PerChannelWeights(ch_axis=0)
    weights = torch.tensor([[1.27, -0.4], [0.0, 0.0], [-12.7, 5.04]])
    assert module.scales(weights).tolist() == pytest.approx([0.01, 0.1, 0.1])
    want = torch.tensor([[1.27, -0.4], [0.0, 0.0], [-12.7, 5.0]])
    torch.testing.assert_close(module(weights), want)
    scales, zeros = module.calculate_qparams()
    assert scales.shape == (3,)
    assert not zeros.any()


def test_weights_of_zeros_only_stay_zeros() -> None:
    module = PerChannelWeights()
    weights = torch.zeros(2, 3)
    assert torch.equal(module(weights), weights)
    assert module.scales(weights).tolist() == [1.0, 1.0]
