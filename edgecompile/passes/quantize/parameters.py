"""Scales and zero points: how real numbers become integers of 8 bits, activations also of 16."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.ranges import Range

# What activations are stored as.
Activations = Literal["int8", "int16"]
# Activations use all of int8; weights leave -128 out, so that products of two integers fit 15 bits.
LEAST, GREATEST = -128, 127
_GREATEST_16 = 32767
# A bias must leave room for the sum that it is added to.
_GREATEST_BIAS = 1 << 29
# Scales below this are no use: their products must be normal numbers in single precision.
_LEAST_SCALE = 1e-15
# Candidate scales of weights, as parts of the one with which the greatest weight just fits.
_CLIPS = np.linspace(1.0, 0.7, 16)


@dataclass(frozen=True)
class Parameters:
    """A real number is (integer - zero) * scale; integers are of type `dtype`."""

    scale: float
    zero: int
    dtype: Activations = "int8"


# What Softmax computes in integers without a further rescaling.
PROBABILITIES = Parameters(1 / 256, LEAST)


def asymmetric(covered: Range) -> Parameters:
    """The parameters with which int8 covers a range, 0 exactly; scale 1 for a range that is only 0."""
    if covered.width <= _LEAST_SCALE * (GREATEST - LEAST):
        return Parameters(1.0, LEAST if covered.low >= 0 else 0)
    scale = float(np.float32(covered.width / (GREATEST - LEAST)))
    zero = round(LEAST - covered.low / scale)
    return Parameters(scale, min(max(zero, LEAST), GREATEST))


def symmetric(covered: Range) -> Parameters:
    """The parameters with which [-32767, 32767] covers a range; scale 1 for a range that is only 0."""
    greatest = max(-covered.low, covered.high)
    if greatest <= _LEAST_SCALE * _GREATEST_16:
        return Parameters(1.0, 0, "int16")
    return Parameters(float(np.float32(greatest / _GREATEST_16)), 0, "int16")


@dataclass(frozen=True)
class QuantizedWeights:
    """int8 weights without zero point, and float32 scales: one a slice along `axis`, or one (axis None)."""

    integers: Array
    scales: Array
    axis: int | None

    def real(self) -> Array:
        """The numbers that the integers stand for, float32."""
        return (self.integers * along(self.scales, self.integers.ndim, self.axis)).astype(np.float32)


def along(vector: Array, rank: int, axis: int | None) -> Array:
    """One number a slice of `axis`, so that it broadcasts against an array of `rank` dimensions."""
    if axis is None:
        return vector.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def weight_scales(weights: Array, axis: int | None, clip: bool) -> Array:
    """Scales for [-127, 127], float32; with `clip`, those of the least mean square error.

    A slice of zeros gets the scale that would be right for its neighbours, or 1.
    """
    others = tuple(i for i in range(weights.ndim) if i != axis)
    greatest = np.abs(weights).max(axis=others, initial=0.0).astype(np.float64).reshape(-1)
    usual = greatest.max(initial=0.0) or 127.0
    scales = np.where(greatest > 0, greatest, usual) / GREATEST
    if clip:
        scales = scales * _best_clips(weights, axis, scales)
    return np.maximum(scales, _LEAST_SCALE).astype(np.float32)


def bias_safe(scales: Array, bias: Array, input_scale: float) -> Array:
    """`scales`, widened where the bias of a channel, in units of input scale times scale, would not fit."""
    least = np.abs(bias).astype(np.float64) / (_GREATEST_BIAS * input_scale)
    least = least if scales.size > 1 else least.max(initial=0.0, keepdims=True)
    return np.maximum(scales, least.astype(np.float32))


def round_weights(weights: Array, scales: Array, axis: int | None) -> QuantizedWeights:
    """Each weight as the nearest integer."""
    real = weights / along(scales, weights.ndim, axis)
    return QuantizedWeights(np.clip(np.rint(real), -GREATEST, GREATEST).astype(np.int8), scales, axis)


def _best_clips(weights: Array, axis: int | None, scales: Array) -> Array:
    """For each scale the factor, at most 1, with which rounding and cutting off cost least."""
    rows = weights.reshape(1, -1) if axis is None else np.moveaxis(weights, axis, 0).reshape(len(scales), -1)
    # In units of the scales, where all errors of a row compare as they are.
    units = rows.astype(np.float32) / scales.astype(np.float32)[:, None]
    best, least = np.ones_like(scales), np.full(scales.shape, np.inf)
    off = np.empty_like(units)
    for factor in _CLIPS.astype(np.float32):
        np.rint(np.divide(units, factor, out=off), out=off)
        np.minimum(np.maximum(off, -GREATEST, out=off), GREATEST, out=off)
        np.subtract(np.multiply(off, factor, out=off), units, out=off)
        error = np.einsum("ij,ij->i", off, off)
        better = error < least
        best[better], least[better] = factor, error[better]
    return best
