"""The arithmetic of quantized operators on NumPy arrays, as core/integer.py defines it.

Everything is computed in int64 (products of an int32 and a multiplier below 2^31 fit), nothing is optimised.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecompile.core.integer import Rounding

Array = np.ndarray[Any, Any]

_INT32 = np.iinfo(np.int32)


def rescale(total: Array, multiplier: Array, shift: Array | None, rounding: Rounding) -> Array:
    """round(total * M) as int64; `multiplier` and `shift` broadcast against the int32 values `total`."""
    if rounding == "float":
        return np.rint(total.astype(np.float32) * multiplier).astype(np.int64)
    assert shift is not None
    total, q, s = total.astype(np.int64), multiplier.astype(np.int64), shift.astype(np.int64)
    if rounding == "single":
        return shift_half_up(total * q, 31 + s)
    saturated = np.clip(total << np.maximum(-s, 0), _INT32.min, _INT32.max)
    return shift_half_away(shift_half_up(saturated * q, np.asarray(31)), np.maximum(s, 0))


def shift_half_up(value: Array, bits: Array) -> Array:
    """value / 2^bits, halves rounded up; bits >= 0."""
    return np.asarray((value + ((np.int64(1) << bits) >> 1)) >> bits)


def shift_half_away(value: Array, bits: Array) -> Array:
    """value / 2^bits, halves rounded away from zero; bits >= 0."""
    magnitude = (np.abs(value) + ((np.int64(1) << bits) >> 1)) >> bits
    return np.asarray(np.where(value < 0, -magnitude, magnitude))


def divide_half_away(total: Array, count: Array) -> Array:
    """total / count, halves rounded away from zero; count > 0."""
    magnitude = (np.abs(total) + count // 2) // count
    return np.asarray(np.where(total < 0, -magnitude, magnitude))
