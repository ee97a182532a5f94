"""Where training takes the weights: away from zero is important, towards zero is not.

V. Sanh, T. Wolf, A. Rush, "Movement pruning: adaptive sparsity by fine-tuning" (2020).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Gradients, Scores, open_groups, require_samples
from edgecompile.passes.prune.importance.gradient import gates, producer_names
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Movement:
    """Minus the sum of weight · gradient over all steps of training; may be negative."""

    gradients: Gradients

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given = require_samples(samples, "movement")
        scores = {group.name: np.zeros(group.size) for group in open_groups(groups)}
        for values, gradient in self.gradients.trained(model, producer_names(groups), given):
            for name, derivatives in gates(groups, values, gradient).items():
                scores[name] -= derivatives
        return scores
