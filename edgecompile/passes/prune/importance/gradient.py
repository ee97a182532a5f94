"""What gradients say about units; one gate a unit, which multiplies all that computes it.

A unit's gate stands at 1. The derivative of a scalar by it is the sum of weight · gradient over the weights
and biases that compute the unit, so gradients of constants are enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import (
    Gradients,
    Scores,
    along,
    by_unit,
    constants,
    open_groups,
    producers,
)
from edgecompile.passes.quantize.observe import Sample


def producer_names(groups: Iterable[Group]) -> list[str]:
    """The constants that compute units, each once."""
    return list(dict.fromkeys(m.initializer for group in open_groups(groups) for m in producers(group)))


def producer_values(model: Model, groups: Iterable[Group]) -> dict[str, Array]:
    """Those constants."""
    return constants(model, producer_names(groups))


def sum_by_unit(group: Group, figures: Mapping[str, Array]) -> Array:
    """The sum of `figures`, arrays like the constants, over all that computes a unit: float64 [units]."""
    total = np.zeros(group.size)
    for member in producers(group):
        total += by_unit(along(figures[member.initializer], member.axis), member)
    return total


def mean_of_gates(
    gradients: Gradients,
    model: Model,
    groups: Sequence[Group],
    samples: Iterable[Sample],
    measure: Callable[[Array], Array],
) -> Scores:
    """The mean, over samples and projections, of what `measure` says of the derivatives by the gates."""
    values = producer_values(model, groups)
    scores = {group.name: np.zeros(group.size) for group in open_groups(groups)}
    count = 0
    for gradient in gradients.fixed(model, producer_names(groups), samples):
        count += 1
        for name, derivatives in gates(groups, values, gradient).items():
            scores[name] += measure(derivatives)
    return {name: total / max(count, 1) for name, total in scores.items()}


def gates(
    groups: Sequence[Group], values: Mapping[str, Array], gradient: Mapping[str, Array]
) -> dict[str, Array]:
    """The derivative by each unit's gate, by the group's name."""
    products = {name: values[name].astype(float) * array for name, array in gradient.items()}
    return {group.name: sum_by_unit(group, products) for group in open_groups(groups)}
