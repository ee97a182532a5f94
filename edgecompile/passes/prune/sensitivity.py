"""How much the outputs suffer when one group loses units and all others are whole.

Curves like these are the first thing to look at before a network is cut (H. Li et al., "Pruning filters for
efficient ConvNets", 2017), and what the allocation "sensitivity" goes by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import Array
from edgecompile.passes.logits import logits_of
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.path import levels
from edgecompile.passes.prune.remove_layer import remove_layer, residual_blocks
from edgecompile.passes.prune.statistics import require_finite
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.observe import Executor, Sample

# Says how much worse the network is with so many units of a group.
Damage = Callable[[str, int], float]


class OutputError:
    """The square error of a network's outputs, before a final Softmax, relative to their variance.

    Measured on `samples` against the outputs of `model`. Raises InputError (EC3520, EC3522).
    """

    def __init__(self, model: Model, samples: Sequence[Sample]) -> None:
        if not samples:
            fix = "give at least one sample; 100 or more are usual"
            raise InputError(Problem("EC3522", "there are no calibration samples", "--calibrate", "", fix))
        self._samples = samples
        self._names = [str(value.name) for value in logits_of(model)]
        self._wanted = self._outputs(model)
        self._powers = {name: float(array.var()) or 1.0 for name, array in self._wanted.items()}

    def __call__(self, model: Model) -> float:
        """The mean over outputs; 0 for the network itself, about 2 for one that knows nothing."""
        found = self._outputs(model)
        errors = [((found[n] - self._wanted[n]) ** 2).mean() / power for n, power in self._powers.items()]
        return float(np.mean(errors))

    def _outputs(self, model: Model) -> dict[str, Array]:
        execute = Executor(model, self._names)
        found = [execute(sample) for sample in self._samples]
        stacked = {name: np.stack([one[name] for one in found]).astype(float) for name in self._names}
        for name, array in stacked.items():
            require_finite(name, array, 0)
        return stacked


def measure_curves(
    groups: Sequence[Group], damage: Damage, multiple: int, progress: Progress
) -> dict[str, dict[int, float]]:
    """The damage at all levels of each group, by name and count of units; 0 with all of them.

    A level that does less damage than one with more units counts as that one does.
    """
    curves: dict[str, dict[int, float]] = {}
    for done, group in enumerate(groups):
        progress("measuring sensitivity", done, len(groups))
        curve = {group.size: 0.0}
        for count in levels(group, multiple)[1:]:
            curve[count] = max(damage(group.name, count), *curve.values())
        curves[group.name] = curve
    progress("measuring sensitivity", len(groups), len(groups))
    return curves


def as_record(groups: Sequence[Group], curves: Mapping[str, Mapping[int, float]]) -> list[dict[str, object]]:
    """The curves as data: for each group its name, size, counts of units and errors."""
    return [
        {
            "name": group.name,
            "kind": group.kind,
            "size": group.size,
            "units": list(curves[group.name]),
            "errors": list(curves[group.name].values()),
        }
        for group in groups
    ]


def block_record(model: Model, error: OutputError) -> list[dict[str, object]]:
    """The same for each residual block that can be removed: what the outputs suffer without it."""
    return [
        {
            "name": block.name,
            "kind": "block",
            "size": 1,
            "units": [1, 0],
            "errors": [0.0, error(remove_layer(model, block.name))],
        }
        for block in residual_blocks(model)
    ]
