"""How fast a candidate will be, learned from measurements: gradient boosted trees (XGBoost).

After T. Chen et al., "Learning to Optimize Tensor Programs" (2018). What is learned is the logarithm of the
speed-up over the default candidate of the same task, so that tasks, networks and devices of one family teach
each other whatever their absolute speed is.
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


class CostModel:
    """Learns from tasks that are known before (`prior`), and from the one that is being tuned."""

    def __init__(self, prior: Sequence[Measured] = ()) -> None:
        self._prior = [rows for rows in prior if len(rows.gains)]
        self._booster: Any = None
        self.fit(Measured(np.zeros((0, 0), np.float32), np.zeros(0, np.float32)))

    @property
    def is_trained(self) -> bool:
        """Whether `predict` knows anything."""
        return self._booster is not None

    def fit(self, own: Measured) -> None:
        """Train on the prior and `own` rows; these count more, because they are of the task itself."""
        parts = [*self._prior, *([own] if len(own.gains) else [])]
        rows = sum(len(part.gains) for part in parts)
        if rows < _LEAST_ROWS:
            return
        import xgboost

        known = max(rows - len(own.gains), 1)
        weight = max(1.0, known / (4.0 * max(len(own.gains), 1))) if self._prior else 1.0
        weights = [np.full(len(part.gains), weight if part is own else 1.0) for part in parts]
        data = xgboost.DMatrix(
            np.concatenate([part.features for part in parts]),
            label=np.concatenate([part.gains for part in parts]),
            weight=np.concatenate(weights),
        )
        self._booster = xgboost.train(_PARAMETERS, data, num_boost_round=_ROUNDS)

    def predict(self, features: Array) -> Array:
        """The expected log2 of the speed-up over the default, one for each row of `features`."""
        import xgboost

        return np.asarray(self._booster.predict(xgboost.DMatrix(features)))
