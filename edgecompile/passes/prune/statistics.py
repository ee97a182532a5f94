"""What contractions read while samples are computed, summed in constant memory; see quantize/observe.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.contractions import Contraction
from edgecompile.passes.quantize.observe import Sample, observe

# So many rows are collected for one product of matrices.
_COLLECTED = 1024


class WindowMoments:
    """For each of `contractions` the sum of x^T x over its rows x: [groups, K, K] float64, by name.

    A change E of the weights changes the results by trace(E^T H E) in squares, so H is all there is to know.
    """

    def __init__(self, contractions: Sequence[Contraction]) -> None:
        self.names = list(dict.fromkeys(one.source for one in contractions))
        self.samples = 0
        self._contractions = contractions
        self._rows: dict[str, list[Array]] = {one.name: [] for one in contractions}
        self._sums: dict[str, Array] = {}

    def look(self, values: Mapping[str, Array], sample: int) -> dict[str, Array]:
        """The rows in one sample. Raises InputError (EC3520) for NaN or infinity."""
        return {one.name: _rows(one, values[one.source], sample) for one in self._contractions}

    def add(self, seen: Mapping[str, Array]) -> None:
        """Take in what `look` found in the next sample."""
        for name, rows in seen.items():
            self._rows[name].append(rows)
            if sum(one.shape[1] for one in self._rows[name]) >= _COLLECTED:
                self._sum(name)
        self.samples += 1

    def of(self, name: str) -> Array:
        """The moments of the contraction `name`."""
        self._sum(name)
        return self._sums[name]

    def _sum(self, name: str) -> None:
        if self._rows[name]:
            rows = np.concatenate(self._rows[name], axis=1).astype(float)
            self._rows[name].clear()
            found = rows.transpose(0, 2, 1) @ rows
            self._sums[name] = self._sums[name] + found if name in self._sums else found


class ChannelMoments:
    """For each of `contractions` and channel that it reads: mean of |x|, of x and of x^2, all elements equal.

    Filled by `observe`; `magnitude`, `variance` and `power` are float64 [channels], by name.
    """

    def __init__(self, contractions: Sequence[Contraction]) -> None:
        self.names = list(dict.fromkeys(one.source for one in contractions))
        self.samples = 0
        self._contractions = contractions
        self._sums: dict[str, Array] = {}

    def look(self, values: Mapping[str, Array], sample: int) -> dict[str, Array]:
        """The three means in one sample, [3, channels]. Raises InputError (EC3520) for NaN or infinity."""
        return {one.name: _means(one, values[one.source], sample) for one in self._contractions}

    def add(self, seen: Mapping[str, Array]) -> None:
        """Take in what `look` found in the next sample."""
        for name, found in seen.items():
            self._sums[name] = self._sums.get(name, 0.0) + found
        self.samples += 1

    def magnitude(self, name: str) -> Array:
        """The mean of |x|."""
        return np.asarray(self._sums[name][0] / self.samples)

    def power(self, name: str) -> Array:
        """The mean of x^2."""
        return np.asarray(self._sums[name][2] / self.samples)

    def variance(self, name: str) -> Array:
        """The mean of (x - mean)^2."""
        mean = self._sums[name][1] / self.samples
        return np.asarray(np.maximum(self.power(name) - mean**2, 0.0))


def observe_moments(
    model: Model, contractions: Sequence[Contraction], samples: Iterable[Sample]
) -> WindowMoments:
    """The moments of `contractions`, nodes of `model`. Raises InputError (EC3305, EC3520)."""
    return observe(model, samples, WindowMoments(contractions))


def observe_channels(
    model: Model, contractions: Sequence[Contraction], samples: Iterable[Sample]
) -> ChannelMoments:
    """The means of channels. Raises InputError (EC3305, EC3520)."""
    return observe(model, samples, ChannelMoments(contractions))


def require_finite(name: str, array: Array, sample: int) -> None:
    """Raise InputError (EC3520) unless all numbers of the tensor `name` are finite."""
    if not np.isfinite(array).all():
        what = f"the network computes NaN or infinity for calibration sample {sample}"
        fix = "look at that sample, and at the network's own range of numbers"
        raise InputError(Problem("EC3520", what, name, "", fix))


def _rows(contraction: Contraction, tensor: Array, sample: int) -> Array:
    require_finite(contraction.source, tensor, sample)
    return contraction.rows(tensor, sample)


def _means(contraction: Contraction, tensor: Array, sample: int) -> Array:
    require_finite(contraction.source, tensor, sample)
    channels = np.moveaxis(tensor, contraction.channel_axis, 0).reshape(
        tensor.shape[contraction.channel_axis], -1
    )
    wide = channels.astype(float)
    return np.stack([np.abs(wide).mean(1), wide.mean(1), (wide * wide).mean(1)])
