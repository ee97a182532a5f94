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
from edgecompile.passes.prune.importance.criterion import Gradients, Scores, require_samples
from edgecompile.passes.prune.importance.gradient import mean_of_gates
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Taylor:
    """The mean of |derivative by the unit's gate|; comparable between groups."""

    gradients: Gradients

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given = require_samples(samples, "taylor")
        return mean_of_gates(self.gradients, model, groups, given, np.abs)
