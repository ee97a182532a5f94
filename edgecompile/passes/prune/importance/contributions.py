"""What each unit of a group contributes to the results of those who read it.

With z_u what unit u adds to all results of its readers, G[u, v] is the mean of z_u . z_v over the samples. It
follows from second moments: G[u, v] is the sum of H * (W W^T) over the rows of u and the columns of v.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.contractions import WIDEST
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Scores, open_groups
from edgecompile.passes.prune.importance.magnitude import Magnitude
from edgecompile.passes.prune.importance.readers import Reader, find_readers
from edgecompile.passes.prune.statistics import WindowMoments, observe_moments
from edgecompile.passes.quantize.observe import Sample


def gram_matrices(model: Model, groups: Sequence[Group], samples: Iterable[Sample]) -> dict[str, Array]:
    """G of each group that a contraction reads, by name, as parts of the power of the readers' results."""
    readers, moments = readers_and_moments(model, groups, samples)
    return {
        name: sum((_gram(reader, moments.of(reader.contraction.name)) for reader in some), np.zeros(()))
        for name, some in readers.items()
    }


def readers_and_moments(
    model: Model, groups: Sequence[Group], samples: Iterable[Sample]
) -> tuple[dict[str, list[Reader]], WindowMoments]:
    """Of each group that a contraction reads who does, without very wide ones, and the moments of all."""
    found = find_readers(model, open_groups(groups), WIDEST)
    contractions = {r.contraction.name: r.contraction for some in found.values() for r in some}
    moments = observe_moments(model, list(contractions.values()), samples)
    return {name: some for name, some in found.items() if some}, moments


def without_readers(model: Model, groups: Sequence[Group], known: Iterable[str]) -> Scores:
    """The size of weights, for groups that are not `known`."""
    names = set(known)
    return Magnitude(order=2).score(model, [group for group in groups if group.name not in names])


def in_order(order: Sequence[int], errors: Sequence[float]) -> Array:
    """Figures of units that are removed in `order`, each at the cost of one of `errors`: never falling."""
    figures = np.maximum.accumulate(np.maximum(np.array(errors, float), 0.0))
    scores = np.zeros(len(order))
    scores[list(order)] = figures * (1 + 1e-6 * np.arange(len(order))) + 1e-12 * np.arange(len(order))
    return scores


def _gram(reader: Reader, moments: Array) -> Array:
    weights = reader.contraction.matrix()
    products = (moments * (weights @ weights.transpose(0, 2, 1))).sum(0)
    owners = np.zeros((len(reader.rows), len(products)))
    for unit, rows in enumerate(reader.rows):
        owners[unit, rows] = 1.0
    return np.asarray(owners @ products @ owners.T) / max(float(products.sum()), 1e-30)
