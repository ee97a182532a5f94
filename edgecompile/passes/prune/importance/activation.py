"""What a unit's activations are: how large, or how much they vary.

A channel that is always the same can be made up for by a bias (H. Hu et al., "Network trimming", 2016, count
zeros; A. Polyak, L. Wolf, "Channel-level acceleration of deep face representations", 2015, use the variance).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.importance.criterion import Scores, open_groups, require_samples
from edgecompile.passes.prune.importance.readers import Reader, by_readers, find_readers
from edgecompile.passes.prune.statistics import ChannelMoments, observe_channels
from edgecompile.passes.quantize.observe import Sample


@dataclass(frozen=True)
class Activation:
    """The mean magnitude or the variance of what contractions read of a unit, summed over these."""

    statistic: Literal["magnitude", "variance"]

    def score(self, model: Model, groups: Sequence[Group], samples: Iterable[Sample] | None) -> Scores:
        given = require_samples(samples, f"activation-{self.statistic}")
        readers = find_readers(model, open_groups(groups))
        seen = observe_channels(model, [r.contraction for some in readers.values() for r in some], given)
        take = ChannelMoments.magnitude if self.statistic == "magnitude" else ChannelMoments.variance
        return by_readers(model, groups, readers, lambda r: _per_unit(r, take(seen, r.contraction.name)))


def _per_unit(reader: Reader, channels: Array) -> Array:
    """The sum over the channels of each unit; a grouped contraction reads one in each group."""
    contraction = reader.contraction
    by_row = channels.reshape(contraction.groups, contraction.inputs).sum(0).repeat(contraction.taps)
    return np.array([by_row[rows].sum() / contraction.taps for rows in reader.rows])
