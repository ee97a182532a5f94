"""Exact histograms of any number of values, seen once each.

Bin k holds [k * width, (k + 1) * width). The width is a power of two: when the range of the values outgrows
the bins it doubles, which joins pairs of bins and moves no count across a border. So the result does not
depend on the order of the values, nor on how they were split into batches.
"""

from __future__ import annotations

import math

import numpy as np

from edgecompile.passes.edit import Array

BINS = 2048
# Indices of bins must be exact in single precision, with which they are computed.
_INDEX_BITS = 20
_LEAST_EXPONENT = -100
# So many values at a time stay in a core's own cache.
_CHUNK = 1 << 15


class Histogram:
    """Counts of real numbers in `BINS` bins; `low` and `high` are the least and the greatest number seen.

    Numbers nearer to 0 than any normal one of single precision (1e-38) may count as 0.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.width = 0.0
        self.first = 0
        self.low, self.high = math.inf, -math.inf

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def centers(self) -> Array:
        """The middle of each bin, at most the greatest and at least the least number seen."""
        middle = (np.arange(self.first, self.first + BINS) + 0.5) * self.width
        return np.asarray(np.clip(middle, self.low, self.high))

    def add(self, values: Array) -> None:
        """Count `values` (any shape, float). Raises FloatingPointError when one is not finite."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise FloatingPointError("a value is not finite")
        self.add_part(values, low, high)

    def add_part(self, values: Array, low: float, high: float) -> None:
        """Count `values`, a part of others, of which `low` is the least and `high` the greatest."""
        self._cover(low, high)
        flat = np.ravel(values)
        for start in range(0, flat.size, _CHUNK):
            index = flat[start : start + _CHUNK] * np.float32(1.0 / self.width)
            if self.first:
                # In this order: a difference of two numbers may round up to the next bin.
                np.floor(index, out=index)
                index -= np.float32(self.first)
            self.counts += np.bincount(index.astype(np.uint16), minlength=BINS)

    def merge(self, other: Histogram) -> None:
        """Count what `other` has counted as well."""
        if not other.total:
            return
        same = Histogram()
        same.counts, same.width, same.first = other.counts.copy(), other.width, other.first
        same.low, same.high = other.low, other.high
        same._cover(min(self.low, other.low), max(self.high, other.high))
        self._cover(other.low, other.high)
        self.counts += same.counts

    def _cover(self, low: float, high: float) -> None:
        """Make bins for everything between `low` and `high`, and for what is there already."""
        empty = not self.width
        low, high = min(low, self.low), max(high, self.high)
        if (low, high) == (self.low, self.high):
            return
        self.low, self.high = low, high
        width = _width(low, high)
        first = math.floor(low / width)
        if not empty:
            self.counts = _rebinned(self.counts, self.first, round(math.log2(width / self.width)), first)
        self.width, self.first = width, first


def _width(low: float, high: float) -> float:
    """The least power of two with which `BINS` bins cover [low, high]."""
    greatest = max(abs(low), abs(high))
    exponent = max(_exponent((high - low) / BINS), _exponent(greatest) - _INDEX_BITS, _LEAST_EXPONENT)
    while math.floor(high / 2.0**exponent) - math.floor(low / 2.0**exponent) >= BINS:
        exponent += 1
    return 2.0**exponent


def _exponent(value: float) -> int:
    """The least e with value <= 2^e, far below any other for 0."""
    mantissa, exponent = math.frexp(value)
    if not mantissa:
        return _LEAST_EXPONENT
    return exponent - 1 if mantissa == 0.5 else exponent


def _rebinned(counts: Array, first: int, doublings: int, new_first: int) -> Array:
    """`counts` of bins from `first` on, in bins that are 2^doublings as wide, from `new_first` on."""
    used = np.flatnonzero(counts)
    result = np.zeros(BINS, np.int64)
    np.add.at(result, ((used + first) >> doublings) - new_first, counts[used])
    return result
