"""Modules that round a tensor as its integers will, and let gradients pass where nothing is cut off.

The gradient is that of the straight-through estimator (Y. Bengio et al., "Estimating or propagating gradients
through stochastic neurons", 2013): 1 inside the range, 0 outside.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchao.quantization.pt2e import FakeQuantizeBase

# Activations use all of int8; weights leave -128 out, so that products of two integers fit 15 bits.
LEAST, GREATEST = -128, 127
# How far one batch moves the ends of a range.
_MOMENTUM = 0.01
# Ranges below this are no use: products of scales must be normal numbers in single precision.
_LEAST_WIDTH = 255e-15


class PerTensorRange(FakeQuantizeBase):
    """An activation: int8, one scale and zero point; the range follows the data while training.

    Buffers: `low` <= 0 <= `high` (float32, exponential averages of the ends of what each batch holds; low >
    high before the first), `scale` (float32), `zero_point` (int32). In evaluation mode nothing is observed.
    With `low` and `high` given, the range is what they say for ever. What else torchao passes is not used.
    """

    kind = "fake_quantize"

    def __init__(self, low: float | None = None, high: float | None = None, **_: Any) -> None:
        super().__init__()
        self.register_buffer("low", torch.tensor(torch.inf))
        self.register_buffer("high", torch.tensor(-torch.inf))
        self.register_buffer("scale", torch.tensor(1.0))
        self.register_buffer("zero_point", torch.tensor(LEAST, dtype=torch.int32))
        self.fixed = low is not None and high is not None
        if low is not None and high is not None:
            self._set(torch.tensor(low), torch.tensor(high))
            self.disable_observer()

    @property
    def observed(self) -> bool:
        """Whether there is a range yet; a range that is not finite counts."""
        return not bool(self.low > self.high)

    def forward(self, x: Tensor) -> Tensor:
        """`x`, any shape, rounded to the grid; unchanged before the first batch."""
        if self.training and self.observer_enabled[0] == 1 and x.numel():
            self._observe(x.detach())
        if self.fake_quant_enabled[0] == 0 or not self.observed:
            return x
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, LEAST, GREATEST)

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point, as torchao asks for them."""
        return self.scale, self.zero_point

    def _observe(self, x: Tensor) -> None:
        low, high = x.float().aminmax()
        low, high = low.clamp(max=0.0), high.clamp(min=0.0)
        if self.observed:
            low, high = self.low.lerp(low, _MOMENTUM), self.high.lerp(high, _MOMENTUM)
        self._set(low, high)

    def _set(self, low: Tensor, high: Tensor) -> None:
        width = high - low
        scale = torch.where(width < _LEAST_WIDTH, torch.ones_like(width), width / (GREATEST - LEAST))
        self.low.copy_(low)
        self.high.copy_(high)
        self.scale.copy_(scale)
        self.zero_point.copy_(torch.round(LEAST - low / scale).clamp(LEAST, GREATEST))


class PerChannelWeights(FakeQuantizeBase):
    """Weights: int8 in [-127, 127], no zero point, one scale for each slice along `ch_axis`.

    A channel's greatest weight is always 127, so there is nothing to learn and nothing to freeze.
    """

    kind = "fake_quantize"

    def __init__(self, ch_axis: int = 0, **_: Any) -> None:
        super().__init__()
        self.axis = ch_axis
        self._latest = torch.ones(1)

    def scales(self, weights: Tensor) -> Tensor:
        """float32 [C]; a channel of zeros has the scale that would be right for its neighbours, or 1."""
        others = [axis for axis in range(weights.dim()) if axis != self.axis]
        greatest = weights.detach().float().abs().amax(others)
        usual = greatest.max()
        usual = torch.where(usual > 0, usual, torch.full_like(usual, float(GREATEST)))
        return torch.where(greatest > 0, greatest, usual) / GREATEST

    def forward(self, weights: Tensor) -> Tensor:
        """`weights` rounded to the grid."""
        if self.fake_quant_enabled[0] == 0:
            return weights
        self._latest = scales = self.scales(weights)
        zeros = torch.zeros_like(scales, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weights, scales, zeros, self.axis, -GREATEST, GREATEST)

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """The scales of the latest weights and their zero points, as torchao asks for them."""
        return self._latest, torch.zeros_like(self._latest, dtype=torch.int32)
