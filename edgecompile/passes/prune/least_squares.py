"""Linear regression of a layer's results: weights [K, N] and a bias that turn rows x into results y.

A layer with G groups is G regressions side by side. The solution shrinks towards the weights that are there
(A. Hoerl, R. Kennard, "Ridge regression", 1970), so that what the samples do not show stays as it was; how
far is decided by samples that are held back.

Where the results are clamped, as by a ReLU, it does not matter how far below the bound they are. Such
elements get a new target in turn with the weights, which never raises the error (after X. Zhang et al.,
"Accelerating very deep convolutional networks for classification and detection", 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from edgecompile.passes.edit import Array

# Of the moments' mean diagonal; the last leaves almost everything as it is.
_RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)
_TURNS = 8


@dataclass(frozen=True)
class Rows:
    """x [G, P, K] and y [G, P, N], float32; `low` and `high` [G, P, N] are what y is clamped to, if it is.

    The last x may be 1 for a bias.
    """

    x: Array
    y: Array
    low: Array | None = None
    high: Array | None = None

    @cached_property
    def moments(self) -> Array:
        """x^T x [G, K, K] in float64."""
        return np.asarray((self.x.transpose(0, 2, 1) @ self.x).astype(float))

    def targets(self, results: Array) -> Array:
        """y, but where it is clamped what is nearest to `results` of all that is clamped alike."""
        found = self.y
        if self.low is not None:
            found = np.where(self.y <= self.low, np.minimum(results, self.low), found)
        if self.high is not None:
            found = np.where(self.y >= self.high, np.maximum(results, self.high), found)
        return found

    def error(self, weights: Array) -> float:
        """The square error with `weights` [G, K, N], relative to the variance of y; clamping counts."""
        results = self.x @ weights.astype(np.float32)
        power = ((self.y - self.y.mean((0, 1))) ** 2).mean()
        return float(((results - self.targets(results)) ** 2).mean()) / max(float(power), 1e-30)


@dataclass(frozen=True)
class Fit:
    """`weights` [G, K, N], and the error on held-back samples before and after."""

    weights: Array
    before: float
    after: float


def fit(teaching: Rows, held_back: Rows, start: Array, has_bias: bool) -> Fit:
    """The best weights for samples that were not taught with; `start` itself if nothing is better.

    Once it is known how far weights may move, the samples held back teach as well.
    """
    before = held_back.error(start)
    systems = [_System(teaching, ridge, has_bias) for ridge in _RIDGES]
    errors = [held_back.error(system.solve(teaching.y, start)) for system in systems]
    best = int(np.argmin(errors))
    after = held_back.error(systems[best].solve_clamped(start))
    if not after < before:
        return Fit(start, before, before)
    every = joined([teaching, held_back])
    return Fit(_System(every, _RIDGES[best], has_bias).solve_clamped(start), before, after)


def joined(parts: Sequence[Rows]) -> Rows:
    """The rows of all `parts`, which have the same bounds."""

    def along(arrays: Sequence[Array | None]) -> Array | None:
        given = [array for array in arrays if array is not None]
        return np.concatenate(given, axis=1) if given else None

    x, y = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in "xy")
    return Rows(x, y, along([part.low for part in parts]), along([part.high for part in parts]))


class _System:
    """The least square error of `rows` plus `ridge` times the square of what the weights change."""

    def __init__(self, rows: Rows, ridge: float, has_bias: bool) -> None:
        self._rows, self._turned = rows, rows.x.transpose(0, 2, 1)
        self._moments = rows.moments
        diagonal = np.diagonal(self._moments, axis1=1, axis2=2)
        penalty = np.repeat(ridge * diagonal.mean(axis=1, keepdims=True) + 1e-9, diagonal.shape[1], axis=1)
        if has_bias:
            penalty[:, -1] = 1e-9
        self._inverse = np.linalg.inv(self._moments + penalty[:, :, None] * np.eye(self._moments.shape[1]))

    def solve(self, targets: Array, start: Array) -> Array:
        """The weights for `targets` [G, P, N]."""
        products = (self._turned @ targets).astype(float)
        return np.asarray(start + self._inverse @ (products - self._moments @ start))

    def solve_clamped(self, start: Array) -> Array:
        """The weights for the rows' own y, whose targets below and above bounds follow them."""
        bounded, weights = self._rows.low is not None or self._rows.high is not None, start
        for _ in range(_TURNS if bounded else 1):
            weights = self.solve(self._rows.targets(self._rows.x @ weights.astype(np.float32)), start)
        return weights
