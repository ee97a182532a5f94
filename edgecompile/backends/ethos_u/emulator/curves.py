"""The NPU's own TANH and SIGMOID, for 16-bit results: lines between 256 entries of one table.

They are taken to be TensorFlow Lite's 16-bit kernels (reference/integer_ops, logistic.h and tanh.h): Vela
uses them as if they were. Inputs are in units of 1 / (3 * 2^12). The table is a
sigmoid at multiples of 1/24, in 1/2^16, each entry moved by a sixteenth of step² times the second derivative:
lines between them are then off by the same amount at an entry and half-way. The last entry is what holds
beyond it.
"""

from __future__ import annotations

import numpy as np

from edgecompile.backends.ethos_u.emulator.memory import Array

_STEP, _LAST, _ONE = 1 / 24, 255, 1 << 16


def _entries() -> Array:
    x = np.arange(_LAST + 1) * _STEP
    value = 1 / (1 + np.exp(-x))
    bend = value * (1 - value) * (1 - 2 * value)
    entries: Array = np.rint((value - bend * _STEP**2 / 16) * _ONE).astype(np.int64)
    entries[_LAST:] = _ONE - 1
    return entries


_ENTRIES = _entries()


def sigmoid(values: Array) -> Array:
    """Q15 of 1 / (1 + exp(-x))."""
    magnitude = _between(np.abs(values), 9, 0x7FFF << 10)
    positive, negative = magnitude + (1 << 9), (1 << 25) - magnitude + (1 << 9) - 1
    return np.where(values >= 0, positive, negative) >> 10


def tanh(values: Array) -> Array:
    """Q15 of tanh(x), as 2 * sigmoid(2 * x) - 1."""
    magnitude = _between(np.abs(values), 8, 0xFFFF << 8)
    positive = magnitude - (1 << 23) + (1 << 7)
    negative = -magnitude + (1 << 23) + (1 << 7) - 1
    return np.where(values >= 0, positive, negative) >> 8


def _between(magnitude: Array, bits: int, greatest: int) -> Array:
    """Lines between entries that are 2^bits apart; `greatest` beyond the last."""
    entry = np.minimum(magnitude >> bits, _LAST)
    rest = magnitude & (1 << bits) - 1
    following = _ENTRIES[np.minimum(entry + 1, _LAST)]
    line = (_ENTRIES[entry] << bits) + rest * (following - _ENTRIES[entry])
    return np.where(entry == _LAST, greatest, line)


CURVES = {"tanh": tanh, "sigmoid": sigmoid}
