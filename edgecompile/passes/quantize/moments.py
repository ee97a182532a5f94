"""Second moments of what layers read, summed over calibration samples in constant memory.

For the rows x of all samples, the sum H of x^T x: how inputs of a layer vary together. A change E of the
layer's weights [K, N] changes its results by trace(E^T H E) in squares, so H is all there is to know of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import Array

# Inputs that are further apart are taken to be independent: the moments of 25 000 inputs would fill 5 GB.
SLICE = 4096
# Of each sample about so many rows (tokens, positions) are looked at, others in the next sample.
_ROWS = 256
# So many rows are collected for one product of matrices.
_COLLECTED = 1024


class Moments:
    """The moments of the last axis of the tensors called `names`."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(dict.fromkeys(names))
        self.samples = 0
        self._rows: dict[str, list[Array]] = {name: [] for name in self.names}
        self._sums: dict[str, list[Array]] = {}

    def look(self, values: Mapping[str, Array], sample: int) -> dict[str, Array]:
        """The rows to be looked at in `sample`; any thread may ask.

        Raises InputError (EC3351) when the network computes NaN or infinity for it.
        """
        return {name: _rows_of(name, values[name], sample) for name in self.names}

    def add(self, rows: Mapping[str, Array]) -> None:
        """Take in what `look` found in the next sample."""
        for name, some in rows.items():
            self._rows[name].append(some)
            if sum(map(len, self._rows[name])) >= _COLLECTED:
                self._sum(name)
        self.samples += 1

    def of(self, name: str) -> list[Array]:
        """The moments of the tensor `name`, a float64 matrix for each `SLICE` of its channels."""
        self._sum(name)
        return self._sums[name]

    def _sum(self, name: str) -> None:
        """Add the rows collected for `name` to its sums."""
        if not self._rows[name]:
            return
        rows = np.concatenate(self._rows[name])
        self._rows[name].clear()
        parts = [rows[:, i : i + SLICE] for i in range(0, rows.shape[1], SLICE)]
        if name not in self._sums:
            self._sums[name] = [part.T @ part for part in parts]
            return
        for total, part in zip(self._sums[name], parts, strict=True):
            total += part.T @ part


def _rows_of(name: str, array: Array, sample: int) -> Array:
    if not np.isfinite(array).all():
        what = f"the network computes NaN or infinity for calibration sample {sample}"
        fix = "look at that sample, and at the network's own range of numbers"
        raise InputError(Problem("EC3351", what, name, "", fix))
    rows = array.reshape(-1, array.shape[-1])
    every = max(len(rows) // _ROWS, 1)
    return rows[sample % every :: every].astype(np.float64)
