"""Chance, the control: a criterion that does no better than this one knows nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Scores, open_groups
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Random:
    """Uniform numbers that depend on `seed` and the order of groups only."""

    seed: int = 0

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None = None) -> Scores:
        generator = np.random.default_rng(self.seed)
        return {group.name: generator.random(group.size) for group in open_groups(groups)}
