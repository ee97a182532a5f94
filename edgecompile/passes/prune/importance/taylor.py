"""How much the outputs would change to first order.

P. Molchanov et al., "Pruning convolutional neural networks for resource efficient inference" (2017), and
"Importance estimation for neural network pruning" (2019).
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
class Taylor:
    """The mean of |derivative by the unit's gate|; comparable between groups."""

    gradients: Gradients

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given, values = require_samples(samples, "taylor"), producer_values(model, groups)
        scores = {group.name: np.zeros(group.size) for group in open_groups(groups)}
        count = 0
        for gradient in self.gradients.fixed(model, producer_names(groups), given):
            count += 1
            for name, derivatives in gates(groups, values, gradient).items():
                scores[name] += np.abs(derivatives)
        return {name: total / max(count, 1) for name, total in scores.items()}
