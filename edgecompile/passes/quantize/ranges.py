"""Which range of real numbers the 256 integers of a tensor shall cover, decided from its histogram.

A wide range has coarse steps, a narrow one cuts off the greatest numbers. `RANGES` has the ways to decide:

min-max      everything that was seen
percentile   all but 1 of 100 000 numbers on either side
mse          where the mean square error of rounding and cutting off is least
entropy      where the distribution after quantization is closest to the one before (Kullback-Leibler
             divergence; S. Migacz, "8-bit inference with TensorRT", 2017)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.histogram import BINS, Histogram

RangeMethod = Literal["min-max", "percentile", "mse", "entropy"]

_LEVELS = 256
_OUTSIDE = 1e-5
# Candidate ends of a range, as parts of the greatest number seen.
_SHRINK = np.linspace(0.2, 1.0, 65)
_ENTROPY_SHRINK = np.linspace(0.3, 1.0, 71)


@dataclass(frozen=True)
class Range:
    """All real numbers from `low` to `high`, both finite; low <= 0 <= high."""

    low: float
    high: float

    @staticmethod
    def of(low: float, high: float) -> Range:
        """The least range with both numbers and 0."""
        return Range(min(low, 0.0), max(high, 0.0))

    @property
    def width(self) -> float:
        return self.high - self.low

    def union(self, other: Range) -> Range:
        return Range(min(self.low, other.low), max(self.high, other.high))


def min_max(histogram: Histogram) -> Range:
    """Everything that was seen."""
    return Range.of(histogram.low, histogram.high)


def percentile(histogram: Histogram, outside: float = _OUTSIDE) -> Range:
    """All but the share `outside` of the numbers on either side."""
    below = np.cumsum(histogram.counts) / histogram.total
    centers = histogram.centers
    first = int(np.searchsorted(below, outside, side="right"))
    last = int(np.searchsorted(below, 1.0 - outside))
    return Range.of(float(centers[min(first, BINS - 1)]), float(centers[min(last, BINS - 1)]))


def least_error(histogram: Histogram) -> Range:
    """The range of the least mean square error; its two ends are searched in turn."""
    widest = min_max(histogram)
    low, high = widest.low, widest.high
    errors = _SquareErrors(histogram)
    for _ in range(2 if low < 0 < high else 1):
        if high > 0:
            ends = widest.high * _SHRINK
            high = float(ends[errors(np.full_like(ends, low), ends).argmin()])
        if low < 0:
            ends = widest.low * _SHRINK
            low = float(ends[errors(ends, np.full_like(ends, high)).argmin()])
    return Range(low, high)


def least_divergence(histogram: Histogram) -> Range:
    """The range whose quantized distribution tells most about the real one; both ends shrink together."""
    widest = min_max(histogram)
    best = min(_ENTROPY_SHRINK, key=lambda s: _divergence(histogram, widest.low * s, widest.high * s))
    return Range(widest.low * best, widest.high * best)


RANGES: dict[RangeMethod, Callable[[Histogram], Range]] = {
    "min-max": min_max,
    "percentile": percentile,
    "mse": least_error,
    "entropy": least_divergence,
}


class _SquareErrors:
    """The sum of square errors of a histogram's numbers when ranges are covered by 256 steps each.

    Numbers below half a step become 0, others are off by step / sqrt(12) in the mean.
    """

    def __init__(self, histogram: Histogram) -> None:
        used = histogram.counts > 0
        self._centers = centers = histogram.centers[used]
        # Row k: sums of the k-th powers of all numbers up to each bin.
        moments = [histogram.counts[used] * centers**power for power in range(3)]
        self._sums = np.concatenate([np.zeros((3, 1)), np.cumsum(moments, axis=1)], axis=1)

    def __call__(self, low: Array, high: Array) -> Array:
        """The errors of any number of ranges, which include 0."""
        step = (high - low) / (_LEVELS - 1)
        small = step / math.sqrt(12)
        first, last = self._places(low, "left"), self._places(high, "right")
        begin, end = (
            self._places(np.maximum(low, -small), "left"),
            self._places(np.minimum(high, small), "right"),
        )
        cut = self._distances(np.zeros_like(first), first, low)
        cut += self._distances(last, np.full_like(last, len(self._centers)), high)
        rounded = self._sum(0, first, begin) + self._sum(0, end, last)
        return np.asarray(cut + self._sum(2, begin, end) + rounded * step**2 / 12)

    def _places(self, values: Array, side: Literal["left", "right"]) -> Array:
        return np.asarray(np.searchsorted(self._centers, values, side))

    def _sum(self, power: int, begin: Array, end: Array) -> Array:
        return np.asarray(self._sums[power, end] - self._sums[power, begin])

    def _distances(self, begin: Array, end: Array, point: Array) -> Array:
        """The square distances of the numbers from `point`, summed."""
        zeroth, first, second = (self._sum(power, begin, end) for power in range(3))
        return np.asarray(second - 2 * point * first + point**2 * zeroth)


def _divergence(histogram: Histogram, low: float, high: float) -> float:
    """Kullback-Leibler divergence of the counts within [low, high] from what 256 steps leave of them.

    What is cut off counts as the outermost number in the real distribution, and not at all in the other.
    """
    if high <= low:
        return 0.0
    centers, counts = histogram.centers, histogram.counts.astype(np.float64)
    inside = (centers >= low) & (centers <= high)
    real = np.where(inside, counts, 0.0)
    places = np.flatnonzero(inside)
    if not places.size:
        return np.inf
    real[places[0]] += counts[: places[0]].sum()
    real[places[-1]] += counts[places[-1] + 1 :].sum()
    step = (high - low) / _LEVELS
    level = np.clip(((centers - low) / step).astype(np.int64), 0, _LEVELS - 1)
    quantized = _spread(np.where(inside, counts, 0.0), level, real > 0)
    if not quantized.sum():
        return np.inf
    p, q = real / real.sum(), quantized / quantized.sum()
    where = p > 0
    return float(np.sum(p[where] * np.log(p[where] / np.maximum(q[where], 1e-12))))


def _spread(counts: Array, level: Array, present: Array) -> Array:
    """The counts of each level, in equal parts on its bins that hold anything."""
    sums = np.bincount(level, counts, _LEVELS)
    bins = np.bincount(level, present, _LEVELS)
    means = np.divide(sums, bins, out=np.zeros(_LEVELS), where=bins > 0)
    return np.where(present, means[level], 0.0)
