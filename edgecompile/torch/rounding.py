"""Weights of which it is learned whether they are rounded up or down, and biases that follow.

M. Nagel et al., "Up or down? Adaptive rounding for post-training quantization" (2020): a weight w with the
scale s is stored as floor(w / s) + h. While learning, h is a rectified sigmoid of a variable, and a
regularizer drives it to 0 or 1.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.insert_quantization import Contraction
from edgecompile.passes.quantize.parameters import GREATEST, QuantizedWeights, along

# The sigmoid is stretched by so much below 0 and above 1, and then cut off, so that it gets there.
_STRETCH = 0.1


class LearnedRounding:
    """The weights and the bias of one contraction, from `start` on, whose scales stay.

    `weights` and `bias` are those in float; a contraction that can have no bias has None. What is exactly 0
    stays 0, so that patterns of zeros survive; what the scales cut off stays at the end of the integers.
    """

    def __init__(self, weights: Array, bias: Array | None, start: Contraction) -> None:
        scales, rank = start.weights.scales, weights.ndim
        self._start = start
        self._scale = torch.tensor(along(scales, rank, start.weights.axis))
        steps = torch.tensor(weights) / self._scale
        self._nearest = torch.tensor(start.weights.integers, dtype=torch.float32)
        self._floor = steps.floor()
        self._free = (steps != 0) & (steps.abs() < GREATEST)
        self._bias = None if bias is None else torch.tensor(bias)
        # The bias is learned in units of what the greatest weight makes of one step of the input.
        self._unit = torch.tensor(scales * np.float32(GREATEST * start.input_scale))
        part = torch.where(self._free, steps - self._floor, 0.5)
        self._up = torch.logit((part + _STRETCH) / (1 + 2 * _STRETCH)).requires_grad_()
        self._shift = torch.zeros(0 if bias is None else bias.size, requires_grad=True)

    @property
    def variables(self) -> list[Tensor]:
        """What is learned."""
        return [self._up, self._shift]

    @property
    def count(self) -> int:
        """How many weights can be rounded either way."""
        return int(self._free.sum())

    @property
    def has_bias(self) -> bool:
        return self._bias is not None

    def soft_weights(self) -> Tensor:
        """The weights while learning, between the steps."""
        return torch.where(self._free, self._floor + self._part(), self._nearest) * self._scale

    def soft_bias(self) -> Tensor:
        """The bias while learning."""
        assert self._bias is not None
        return self._bias + self._unit * self._shift

    def undecided(self, power: float) -> Tensor:
        """The sum over all weights of 1 - |2h - 1|^power, which is 0 when each is on a step."""
        return (1 - (2 * self._part() - 1).abs() ** power)[self._free].sum()

    def hardened(self) -> Contraction:
        """Every weight on the nearer of its two steps, the bias as it is."""
        with torch.no_grad():
            steps = torch.where(self._free, self._floor + (self._part() >= 0.5), self._nearest)
            integers = steps.clamp(-GREATEST, GREATEST).numpy().astype(np.int8)
            bias = self.soft_bias().numpy() if self.has_bias else self._start.bias
        first = self._start.weights
        return Contraction(
            QuantizedWeights(integers, first.scales, first.axis), bias, self._start.input_scale
        )

    def _part(self) -> Tensor:
        return (torch.sigmoid(self._up) * (1 + 2 * _STRETCH) - _STRETCH).clamp(0, 1)
