"""The size of a unit's weights.

H. Li et al., "Pruning filters for efficient ConvNets" (2017), sort filters by the sum of magnitudes (L1);
the root of the sum of squares is L2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import (
    Scores,
    along,
    by_unit,
    constants,
    open_groups,
    producers,
)
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Magnitude:
    """The norm of all weights that compute a unit, of `order` 1 or 2; biases do not count."""

    order: int = 1

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None = None) -> Scores:
        scores = {}
        for group in open_groups(groups):
            total = np.zeros(group.size)
            for member in producers(group):
                array = constants(model, [member.initializer])[member.initializer]
                if array.ndim > 1:
                    total += by_unit(along(np.abs(array.astype(float)) ** self.order, member.axis), member)
            scores[group.name] = total ** (1 / self.order)
        return scores
