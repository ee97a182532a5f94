"""Which candidates of a task to measure next.

The space of a planned kernel is small enough to be predicted as a whole, so the search is the exploitation of
the model's order with a share of random candidates, which keep the model honest (epsilon-greedy).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgecompile.tuning.cost_model import CostModel, Measured, gains_of
from edgecompile.tuning.task import Task

# The share of a batch that is drawn by chance once the model has learned something.
_RANDOM = 0.25
# The task is done when this many batches in a row brought less than this improvement.
_PLATEAU_BATCHES = 3
_IMPROVEMENT = 0.01


@dataclass
class Search:
    """The state of one task: what was measured (None: failed), and what it taught `model`."""

    task: Task
    model: CostModel
    chance: np.random.Generator
    values: dict[int, float | None] = field(default_factory=dict)
    _stale: int = 0

    @property
    def default(self) -> float | None:
        """The value of the default candidate; None before it was measured."""
        return self.values.get(0)

    @property
    def best(self) -> int | None:
        """The place of the fastest candidate."""
        known = {index: value for index, value in self.values.items() if value is not None}
        return min(known, key=lambda index: (known[index], index), default=None)

    @property
    def is_done(self) -> bool:
        """Whether nothing is left, or the last batches brought nothing."""
        return self._stale >= _PLATEAU_BATCHES or len(self.values) >= len(self.task.candidates)

    def propose(self, count: int) -> list[int]:
        """Up to `count` candidates that were not measured yet, the default first of all."""
        left = [index for index in range(len(self.task.candidates)) if index not in self.values]
        first = [0] if 0 in left else []
        rest = [index for index in left if index]
        by_chance = count if not self.model.is_trained else round(count * _RANDOM)
        drawn = self.chance.permutation(rest)[: max(by_chance - len(first), 0)].tolist()
        chosen = [*first, *drawn]
        if self.model.is_trained:
            order = np.argsort(-self.model.predict(self.task.features), kind="stable")
            taken = set(chosen)
            chosen += [int(i) for i in order if int(i) in set(rest) - taken][: count - len(chosen)]
        return chosen[:count]

    def record(self, values: dict[int, float | None]) -> None:
        """Learn what a batch of candidates took."""
        before = self._best_value()
        self.values |= values
        after = self._best_value()
        better = before is None or (after is not None and after < before * (1 - _IMPROVEMENT))
        self._stale = 0 if better else self._stale + 1
        if self.default is not None:
            indices = list(self.values)
            gains = gains_of([self.values[index] for index in indices], self.default)
            self.model.fit(Measured(self.task.features[indices], gains))

    def _best_value(self) -> float | None:
        return None if self.best is None else self.values[self.best]
