"""The Fisher information of a unit's gate.

L. Theis et al., "Faster gaze prediction with dense networks and Fisher pruning" (2018); of coupled units,
L. Liu et al., "Group Fisher pruning for practical network compression" (2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Gradients, Scores, open_groups, require_samples
from edgecompile.passes.prune.importance.gradient import gates, producer_names, producer_values
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Fisher:
    """Half the mean of (derivative by the unit's gate)^2; comparable between groups."""

    gradients: Gradients

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given, values = require_samples(samples, "fisher"), producer_values(model, groups)
        scores = {group.name: np.zeros(group.size) for group in open_groups(groups)}
        count = 0
        for gradient in self.gradients.fixed(model, producer_names(groups), given):
            count += 1
            for name, derivatives in gates(groups, values, gradient).items():
                scores[name] += derivatives**2
        return {name: total / (2 * max(count, 1)) for name, total in scores.items()}
