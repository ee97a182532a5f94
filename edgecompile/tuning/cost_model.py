"""How fast a candidate will be, learned from measurements: gradient boosted trees (XGBoost).

After T. Chen et al., "Learning to Optimize Tensor Programs" (2018). What is learned is the logarithm of the
speed-up over the default candidate of the same task, so that tasks, networks and devices of one family teach
each other whatever their absolute speed is.

There are two layers of trees. Those of `Prior` know what other tasks taught and are shared by all tasks of a
session; each task's own correct what these expect of it, so that learning from a batch takes milliseconds
however many records there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_ROUNDS = 120
_PARAMETERS = {
    "max_depth": 6,
    "eta": 0.15,
    "min_child_weight": 1.0,
    "subsample": 0.9,
    "objective": "reg:squarederror",
    "base_score": 0.0,
    # More threads cost more than they save on some thousand rows.
    "nthread": 1,
    "seed": 0,
    "verbosity": 0,
}
# With fewer measurements than this, trees would only repeat them.
_LEAST_ROWS = 8
# What a candidate that failed counts as: slower than anything that works.
FAILED = -3.0


@dataclass(frozen=True)
class Measured:
    """Rows of one task: features [rows, features] and log2 of the speed-up over its default."""

    features: Array
    gains: Array


def gains_of(values: Sequence[float | None], default: float) -> Array:
    """log2(default / value) for each value, FAILED for None. `default` is the default candidate's value."""
    return np.array([FAILED if value is None else np.log2(default / value) for value in values], np.float32)


class Prior:
    """What tasks that were measured before, one part each, say of any other."""

    def __init__(self, parts: Sequence[Measured] = ()) -> None:
        self._trees = _fit(parts)

    @property
    def is_trained(self) -> bool:
        """Whether it knows anything."""
        return self._trees is not None

    def predict(self, features: Array) -> Array:
        """The expected log2 of the speed-up over the default, one for each row of `features`."""
        return _predict(self._trees, features)


class CostModel:
    """Learns from the task that is being tuned what `prior` did not expect."""

    def __init__(self, prior: Prior | None = None) -> None:
        self._prior = prior or Prior()
        self._trees: Any = None

    @property
    def is_trained(self) -> bool:
        """Whether `predict` knows anything."""
        return self._prior.is_trained or self._trees is not None

    def fit(self, own: Measured) -> None:
        """Learn from all rows of the task itself."""
        expected = self._prior.predict(own.features)
        self._trees = _fit([Measured(own.features, own.gains - expected)])

    def predict(self, features: Array) -> Array:
        """The expected log2 of the speed-up over the default, one for each row of `features`."""
        return self._prior.predict(features) + _predict(self._trees, features)


def _fit(parts: Sequence[Measured]) -> Any:
    """Trees for the rows of all parts; None for too few of them."""
    if sum(len(part.gains) for part in parts) < _LEAST_ROWS:
        return None
    import xgboost

    features = np.concatenate([part.features for part in parts])
    data = xgboost.DMatrix(features, label=np.concatenate([part.gains for part in parts]))
    return xgboost.train(_PARAMETERS, data, num_boost_round=_ROUNDS)


def _predict(trees: Any, features: Array) -> Array:
    if trees is None:
        return np.zeros(len(features), np.float32)
    return np.asarray(trees.inplace_predict(features))
