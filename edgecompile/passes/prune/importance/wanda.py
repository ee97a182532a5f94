"""Weights times activations.

M. Sun et al., "A simple and effective pruning approach for large language models" (2024): |w| times the norm
of the input that w multiplies. Of a whole unit, the sum over the weights that read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Scores, open_groups, require_samples
from edgecompile.passes.prune.importance.readers import Reader, by_readers, find_readers
from edgecompile.passes.prune.statistics import observe_channels
from edgecompile.passes.quantize.observe import Sample


class Wanda:
    """The sum of |w| · sqrt(mean of x^2) over all weights w that read a unit."""

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given = require_samples(samples, "wanda")
        readers = find_readers(model, open_groups(groups))
        seen = observe_channels(model, [r.contraction for some in readers.values() for r in some], given)
        return by_readers(
            model, groups, readers, lambda r: _products(r, np.sqrt(seen.power(r.contraction.name)))
        )


def _products(reader: Reader, norms: Array) -> Array:
    contraction = reader.contraction
    by_row = norms.reshape(contraction.groups, contraction.inputs).repeat(contraction.taps, axis=1)
    products = (np.abs(contraction.matrix()).sum(2) * by_row).sum(0)
    return np.array([products[rows].sum() for rows in reader.rows])
