"""Units that a sparse regression of the next layer's results keeps longest.

Y. He, X. Zhang, J. Sun, "Channel pruning for accelerating very deep neural networks" (2017): the factors of
units are found with a penalty on their magnitudes, which grows until they are 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.contributions import gram_matrices, without_readers
from edgecompile.passes.prune.importance.criterion import Scores, require_samples
from edgecompile.passes.quantize.observe import Sample

# Penalties from the least that makes all factors 0 down to this part of it, and sweeps over units at each.
_PENALTIES, _LEAST, _SWEEPS = 64, 1e-4, 20


class Lasso:
    """The greatest penalty at which a unit's factor is not 0; among those that never are, the size of it.

    Relative to the power of the readers' results.
    """

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        grams = gram_matrices(model, groups, require_samples(samples, "lasso"))
        scores = without_readers(model, groups, grams)
        return scores | {name: _entry_penalties(gram) for name, gram in grams.items()}


def _entry_penalties(gram: Array) -> Array:
    """min over f of (1 - f)^T G (1 - f) / 2 + penalty * sum |f|, by coordinate descent."""
    target, powers = gram.sum(1), np.maximum(np.diag(gram), 1e-30)
    greatest = max(float(np.abs(target).max()), 1e-30)
    factors, entered = np.zeros(len(gram)), np.zeros(len(gram))
    for penalty in greatest * np.geomspace(1.0, _LEAST, _PENALTIES):
        for _ in range(_SWEEPS):
            for unit in range(len(gram)):
                free = target[unit] - gram[unit] @ factors + powers[unit] * factors[unit]
                factors[unit] = np.sign(free) * max(abs(free) - penalty, 0.0) / powers[unit]
        entered = np.where((factors != 0) & (entered == 0), penalty, entered)
    # Units that enter at the same penalty are told apart by their power.
    return np.asarray(entered + 1e-6 * powers / powers.max() * greatest * _LEAST)
