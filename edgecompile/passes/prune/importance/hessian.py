"""The second derivative by each weight, weights taken to be independent of each other.

Y. LeCun, J. Denker, S. Solla, "Optimal brain damage" (1990). The diagonal is that of Gauss and Newton, which
for the square error of the outputs is the mean of squared gradients of random projections of the outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Gradients, Scores, open_groups, require_samples
from edgecompile.passes.prune.importance.gradient import producer_names, producer_values, sum_by_unit
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class HessianDiagonal:
    """The sum of second derivative · weight^2 / 2 over what computes a unit; comparable between groups."""

    gradients: Gradients

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given, values = require_samples(samples, "hessian"), producer_values(model, groups)
        squares: dict[str, Array] = {name: np.zeros(array.shape) for name, array in values.items()}
        count = 0
        for gradient in self.gradients.fixed(model, producer_names(groups), given):
            count += 1
            for name, array in gradient.items():
                squares[name] += array.astype(float) ** 2
        saliency = {name: values[name] ** 2 * total / (2 * max(count, 1)) for name, total in squares.items()}
        return {group.name: sum_by_unit(group, saliency) for group in open_groups(groups)}
