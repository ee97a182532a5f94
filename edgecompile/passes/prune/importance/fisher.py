"""The Fisher information of a unit's gate.

L. Theis et al., "Faster gaze prediction with dense networks and Fisher pruning" (2018); of coupled units,
L. Liu et al., "Group Fisher pruning for practical network compression" (2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edgecompile.core.model import Model
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Gradients, Scores, require_samples
from edgecompile.passes.prune.importance.gradient import mean_of_gates
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Fisher:
    """Half the mean of (derivative by the unit's gate)^2; comparable between groups."""

    gradients: Gradients

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given = require_samples(samples, "fisher")
        return mean_of_gates(self.gradients, model, groups, given, lambda d: d**2 / 2)
