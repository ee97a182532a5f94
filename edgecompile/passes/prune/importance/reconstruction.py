"""Units that the next layer can do without, if its remaining weights make up for them.

The error that remains after the best change of all other weights is known in closed form (B. Hassibi,
D. Stork, "Second order derivatives for network pruning: optimal brain surgeon", 1993), and so is the inverse
of the moments without the removed rows; E. Frantar, D. Alistarh, "Optimal brain compression" (2022), remove
weights of one layer like that. Here a whole unit goes at a time, with all of its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.contributions import in_order, readers_and_moments, without_readers
from edgecompile.passes.prune.importance.criterion import Scores, require_samples
from edgecompile.passes.prune.importance.readers import Reader
from edgecompile.passes.quantize.observe import Sample

# Added to the moments' diagonal, as a part of its mean: few samples say little about rare combinations.
_DAMPING = 0.01
# Wide layers lose several units at a time.
_MOST_STEPS = 64


class Reconstruction:
    """The square error of the readers' results once a unit is gone and all other weights made up for it.

    Relative to the power of the results, so comparable between groups.
    """

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        readers, moments = readers_and_moments(model, groups, require_samples(samples, "reconstruction"))
        scores = without_readers(model, groups, readers)
        for name, some in readers.items():
            systems = [_System(reader, moments.of(reader.contraction.name)) for reader in some]
            scores[name] = _remove_greedily(systems)
        return scores


class _System:
    """The least squares of one reader: weights and inverse moments, [groups, K, ...], while units go."""

    def __init__(self, reader: Reader, moments: Array) -> None:
        self._rows, self._weights = reader.rows, reader.contraction.matrix()
        width = moments.shape[1]
        mean = np.trace(moments, axis1=1, axis2=2)[:, None, None] / width
        self._inverse = np.linalg.inv(moments + (_DAMPING * mean + 1e-12) * np.eye(width))
        power = np.einsum("gkn,gkl,gln->", self._weights, moments, self._weights)
        self._power = max(float(power), 1e-30)

    def error(self, unit: int) -> float:
        """What removing `unit` adds to the error."""
        rows = self._rows[unit]
        weights = self._weights[:, rows]
        block = self._inverse[:, rows[:, None], rows[None, :]]
        return float((weights * np.linalg.solve(block, weights)).sum()) / self._power

    def remove(self, unit: int) -> None:
        """Change the other weights for the best, and forget the rows of `unit`."""
        rows = self._rows[unit]
        columns = self._inverse[:, :, rows]
        block = columns[:, rows]
        self._weights -= columns @ np.linalg.solve(block, self._weights[:, rows])
        self._inverse -= columns @ np.linalg.solve(block, columns.transpose(0, 2, 1))
        # What is removed must stay solvable: nothing depends on it any more.
        self._weights[:, rows] = 0.0


def _remove_greedily(systems: Sequence[_System]) -> Array:
    count = len(systems[0]._rows)
    left = list(range(count))
    at_once = -(-count // _MOST_STEPS)
    order: list[int] = []
    errors: list[float] = []
    while left:
        increases = {unit: sum(system.error(unit) for system in systems) for unit in left}
        for unit in sorted(left, key=lambda unit: increases[unit])[:at_once]:
            errors.append((errors[-1] if errors else 0.0) + sum(system.error(unit) for system in systems))
            for system in systems:
                system.remove(unit)
            order.append(unit)
            left.remove(unit)
    return in_order(order, errors)
