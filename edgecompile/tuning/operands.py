"""What candidates are tried on, and when two results are the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecompile.core.tensor import TensorInfo

Array = np.ndarray[Any, Any]

# Of the largest magnitude of the result: another order of sums gives less, a wrong kernel more.
_TOLERANCE = 1e-4
# Real numbers at which kernels go wrong: signed zeros, what cancels, what is large. Sums and squares of them
# are finite.
_EDGES = (0.0, -0.0, 1.0, -1.0, 1e-6, -1e-6, 1e12, -1e12)
_SMALL_EDGES = (0.0, -0.0, 1.0, -1.0, 1e-3, -1e-3, 64.0, -64.0)


def random_inputs(infos: Sequence[TensorInfo], seed: int) -> list[Array]:
    """Normally distributed numbers, and integers of the whole range."""
    chance = np.random.default_rng(seed)
    return [_normal(chance, info) for info in infos]


def edge_inputs(infos: Sequence[TensorInfo], seed: int) -> list[Array]:
    """Zeros, ones and large magnitudes; of integers zero and both ends of the range."""
    chance = np.random.default_rng(seed)
    return [chance.choice(_edges_of(np.dtype(info.dtype)), info.shape) for info in infos]


def agrees(got: Array, expected: Array) -> bool:
    """Integers must be equal, real numbers nearly."""
    if expected.dtype.kind != "f":
        return bool(np.array_equal(got, expected))
    scale = float(np.abs(expected).max(initial=0.0, where=np.isfinite(expected))) or 1.0
    return bool(np.allclose(got, expected, rtol=0.0, atol=_TOLERANCE * scale, equal_nan=True))


def _normal(chance: np.random.Generator, info: TensorInfo) -> Array:
    dtype = np.dtype(info.dtype)
    if dtype.kind == "f":
        return chance.standard_normal(info.shape).astype(dtype)
    low, high = _range_of(dtype)
    return chance.integers(low, high, info.shape, endpoint=True).astype(dtype)


def _edges_of(dtype: np.dtype[Any]) -> Array:
    if dtype.kind == "f":
        return np.array(_EDGES if dtype.itemsize > 2 else _SMALL_EDGES, dtype)
    low, high = _range_of(dtype)
    return np.array([low, 0, high], dtype)


def _range_of(dtype: np.dtype[Any]) -> tuple[int, int]:
    """The least and the greatest integer. Wide integers count or index something, and are kept small."""
    if dtype.kind not in "iu":
        return 0, 1
    limits = np.iinfo(np.int8 if dtype.itemsize > 2 else dtype)
    return int(limits.min), int(limits.max)
