"""Which candidates of a task to measure next.

The space of a planned kernel is small enough to be predicted as a whole, so the search is the exploitation of
the model's order with a share of random candidates, which keep the model honest (epsilon-greedy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecompile.tuning.cost_model import CostModel, Measured, gains_of
from edgecompile.tuning.task import Task

Array = np.ndarray[Any, Any]

# The share of a batch that is drawn by chance once the model has learned something.
_RANDOM = 0.25
# The task is done when this many batches in a row brought less than this improvement.
_PLATEAU_BATCHES = 3
_IMPROVEMENT = 0.01


@dataclass
class Search:
    """The state of one task: what was measured (None: failed), and what it taught `model`.

    `pending` was proposed, and nothing has been heard of it yet. `best` is the place of the fastest
    candidate. With a `goal`, the task is done after so many trials, and not before.
    """

    task: Task
    model: CostModel
    chance: np.random.Generator
    goal: int | None = None
    values: dict[int, float | None] = field(default_factory=dict)
    pending: set[int] = field(default_factory=set)
    best: int | None = None
    _stale: int = 0
    _predicted: Array | None = None
    _hoped: float | None = None

    @property
    def predicted(self) -> Array:
        """What the model says of each candidate: log2 of the speed-up over the default."""
        if self._predicted is None:
            self._predicted = self.model.predict(self.task.features)
        return self._predicted

    @property
    def tried(self) -> int:
        """How many candidates were proposed."""
        return len(self.values) + len(self.pending)

    @property
    def default(self) -> float | None:
        """The value of the default candidate; None before it was measured."""
        return self.values.get(0)

    @property
    def best_value(self) -> float | None:
        """The value of the fastest candidate."""
        return None if self.best is None else self.values[self.best]

    @property
    def speed_ups(self) -> list[float | None]:
        """The speed of each candidate over the default's, in the order of trial; None for failures."""
        default = self.default
        return [default / value if default and value else None for value in self.values.values()]

    @property
    def expected_value(self) -> float:
        """What the fastest candidate is expected to take in the end: the best known, or one of those left.

        Infinity before there is any figure.
        """
        best = math.inf if self.best_value is None else self.best_value
        if self.is_done:
            return best
        if self._hoped is None:
            self._hoped = self._least_of_rest()
        return min(best, self._hoped)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left, or the last batches brought nothing."""
        if self.tried >= len(self.task.candidates):
            return True
        return self._stale >= _PLATEAU_BATCHES if self.goal is None else self.tried >= self.goal

    def _least_of_rest(self) -> float:
        """What the model expects of the fastest candidate without a figure; infinity where it cannot say."""
        left = [place for place in range(len(self.task.candidates)) if place not in self.values]
        if not left or self.default is None or not self.model.is_trained:
            return math.inf
        return float(self.default * 2.0 ** -float(self.predicted[left].max()))

    def propose(self, count: int) -> list[int]:
        """Up to `count` candidates that were not proposed yet, the default first of all."""
        taken = self.values.keys() | self.pending
        left = [index for index in range(len(self.task.candidates)) if index not in taken]
        first = [0] if 0 in left else []
        rest = [index for index in left if index]
        by_chance = count if not self.model.is_trained else round(count * _RANDOM)
        drawn = self.chance.permutation(rest)[: max(by_chance - len(first), 0)].tolist()
        chosen = [*first, *drawn]
        if self.model.is_trained:
            order = np.argsort(-self.predicted, kind="stable").tolist()
            open_ones = set(rest) - set(chosen)
            chosen += [index for index in order if index in open_ones][: count - len(chosen)]
        self.pending |= set(chosen[:count])
        return chosen[:count]

    def record(self, values: dict[int, float | None]) -> None:
        """Learn what a batch of candidates took."""
        before = self.best_value
        self.values |= values
        self.pending -= values.keys()
        known = {index: value for index, value in self.values.items() if value is not None}
        self.best = min(known, key=lambda index: (known[index], index), default=None)
        after = self.best_value
        better = after is not None and (before is None or after < before * (1 - _IMPROVEMENT))
        self._stale = 0 if better else self._stale + 1
        if self.default is not None:
            indices = list(self.values)
            gains = gains_of([self.values[index] for index in indices], self.default)
            self.model.fit(Measured(self.task.features[indices], gains))
            self._predicted = None
        self._hoped = None
