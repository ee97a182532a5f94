"""Units whose absence changes the next layer least, found greedily.

J.-H. Luo, J. Wu, W. Lin, "ThiNet: a filter level pruning method for deep neural network compression" (2017).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.contributions import gram_matrices, in_order, without_readers
from edgecompile.passes.prune.importance.criterion import Scores, require_samples
from edgecompile.passes.quantize.observe import Sample


class ThiNet:
    """The square error of the readers' results once a unit is gone with all that went before it.

    Relative to the power of the results, so comparable between groups. The remaining weights stay.
    """

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        grams = gram_matrices(model, groups, require_samples(samples, "thinet"))
        scores = without_readers(model, groups, grams)
        return scores | {name: _remove_greedily(gram) for name, gram in grams.items()}


def _remove_greedily(gram: Array) -> Array:
    left = np.ones(len(gram), bool)
    order, errors, error = [], [], 0.0
    with_removed = np.zeros(len(gram))
    for _ in range(len(gram)):
        increase = np.where(left, np.diag(gram) + 2 * with_removed, np.inf)
        unit = int(increase.argmin())
        error += float(increase[unit])
        left[unit] = False
        with_removed += gram[unit]
        order.append(unit)
        errors.append(error)
    return in_order(order, errors)
