"""Linear interpolation on NumPy arrays of integers, as core/integer.py defines it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.passes.quantize.arithmetic import Array


def weighted_sum(
    data: Array, positions: Array, axes: Sequence[int], sizes: Sequence[int], bits: int
) -> Array:
    """int64 sums of the neighbours of each element along `axes`, which get `sizes`; the weights of each axis
    sum up to 2^bits.
    """
    unit, start = 1 << bits, 0
    for axis, size in zip(axes, sizes, strict=True):
        places = positions[start : start + size].astype(np.int64)
        start += size
        low, fraction = places // unit, np.expand_dims(places % unit, tuple(range(1, data.ndim - axis)))
        high = np.minimum(low + 1, data.shape[axis] - 1)
        data = np.take(data, low, axis) * (unit - fraction) + np.take(data, high, axis) * fraction
    return data
