"""The Softmax routine of gemmlowp and TensorFlow Lite for 8-bit integers, and its table of exponentials.

A fixed-point number with i integer bits is an int32 that stands for itself times 2^(i - 31).
Source of the algorithm: gemmlowp, fixedpoint/fixedpoint.h, and the reference kernel of TensorFlow Lite.
"""

from __future__ import annotations

import math

import numpy as np

from edgecompile.core.integer import decompose
from edgecompile.passes.quantize.arithmetic import Array, shift_half_away, shift_half_up

_INT32_MAX = (1 << 31) - 1
# Distances are scaled to fixed point with so many integer bits; a greater one counts as infinite.
_DISTANCE_BITS = 5
# exp(-1/8) and 1/3 without integer bits.
_EXP_EIGHTH, _THIRD = 1895147668, 715827883
# 48/17 and -32/17 with two integer bits: the line that is nearest to 1 / x on [1/2, 1].
_INTERCEPT, _SLOPE = 1515870810, -1010580540
# exp(-2^k) for k = -2 ... 4, without integer bits.
_EXP_POWERS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)


def exponentials(scale: float, beta: float = 1.0) -> Array:
    """exp(-beta * scale * d) for d = 0 ... 255 without integer bits, int32[256]; 0 where that is too far."""
    factor = min(beta * scale * (1 << (31 - _DISTANCE_BITS)), float(_INT32_MAX))
    q, shift = decompose(factor)
    left = max(-shift, 0)
    greatest = math.floor(((1 << _DISTANCE_BITS) - 1) * (1 << (31 - _DISTANCE_BITS)) / (1 << left))
    distances = np.arange(256, dtype=np.int64)
    scaled = multiply_high(-np.minimum(distances, greatest) << left, q)
    return np.where(distances <= greatest, _exp_of_negative(scaled), 0).astype(np.int32)


def softmax(data: Array, exps: Array, axis: int, fraction: int) -> Array:
    """Softmax along `axis` of int8 or uint8 `data`, as int64 of scale 2^-fraction."""
    wide = data.astype(np.int64)
    terms = exps.astype(np.int64)[wide.max(axis, keepdims=True) - wide]
    total = shift_half_away(terms, np.asarray(12)).sum(axis, keepdims=True)
    zeros = 31 - np.floor(np.log2(total)).astype(np.int64)
    share = multiply_high(_reciprocal(total, zeros), terms)
    return shift_half_away(share, 43 - fraction - zeros)


def multiply_high(a: Array | int, b: Array | int) -> Array:
    """The product of two fixed-point numbers: the high half of 2ab, rounded half up."""
    return shift_half_up(np.asarray(a, np.int64) * b, np.asarray(31))


def _exp_of_negative(a: Array) -> Array:
    """exp(a) for a <= 0 with 5 integer bits: exp of the part in [-1/4, 0), times exp of powers of two."""
    fraction = 31 - _DISTANCE_BITS
    quarter = np.int64(1) << (fraction - 2)
    part = (a & (quarter - 1)) - quarter
    result = _exp_near_zero(part << _DISTANCE_BITS)
    rest = part - a
    for power, factor in enumerate(_EXP_POWERS):
        present = (rest >> (fraction - 2 + power)) & 1
        result = np.where(present != 0, multiply_high(result, factor), result)
    return np.asarray(np.where(a == 0, _INT32_MAX, result))


def _exp_near_zero(a: Array) -> Array:
    """exp(a) for a in [-1/4, 0) without integer bits: Taylor's series around -1/8."""
    x = a + (np.int64(1) << 28)
    x2 = multiply_high(x, x)
    x3, x4 = multiply_high(x2, x), multiply_high(x2, x2)
    cubes = multiply_high(shift_half_away(x4, np.asarray(2)) + x3, _THIRD)
    series = x + shift_half_away(cubes + x2, np.asarray(1))
    return np.asarray(_EXP_EIGHTH + multiply_high(_EXP_EIGHTH, series))


def _reciprocal(total: Array, zeros: Array) -> Array:
    """1 / (1 + f) without integer bits, where 1 + f is `total` without its leading zeros: Newton's method.

    `half` is (1 + f) / 2 without integer bits, x its reciprocal with two.
    """
    half = (total << zeros) >> 1
    x = _INTERCEPT + multiply_high(half, _SLOPE)
    for _ in range(3):
        x = x + (multiply_high(x, (1 << 29) - multiply_high(half, x)) << 2)
    return np.asarray(np.minimum(x << 1, _INT32_MAX))
