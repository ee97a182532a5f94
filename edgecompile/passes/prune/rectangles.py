"""What is left of a tensor must be a tensor: units of each lie along one axis."""

from __future__ import annotations

import numpy as np

from edgecompile.passes.edit import Array
from edgecompile.passes.prune.labels import Labels, compact
from edgecompile.passes.prune.trace import Trace


def make_rectangular(trace: Trace) -> None:
    """Tie labels until those of each tensor vary along one axis: that which leaves the most units.

    Ties only make units larger, so that this ends; each round goes through all tensors.
    """
    reasons: dict[int, str] = {}
    changed = True
    while changed:
        changed = False
        reasons = trace.labels.reasons()
        for labels in trace.values.values():
            axes = trace.labels.varying(labels)
            if len(axes) > 1:
                roots = compact(trace.labels.roots(labels))
                best = max(axes, key=lambda axis: _units_along(roots, axis, reasons))
                trace.labels.vector(labels, best)
                changed = True


def _units_along(roots: Array, axis: int, reasons: dict[int, str]) -> int:
    """How many units that are not frozen are left of `roots` when they are tied along all axes but `axis`."""
    names, places = np.unique(roots, return_inverse=True)
    local = Labels()
    local.fresh(len(names))
    local.vector(places.reshape(roots.shape), axis)
    frozen = np.isin(names, list(reasons))
    own = local.roots(np.arange(len(names)))
    return len(set(own.tolist()) - set(own[frozen].tolist()))
