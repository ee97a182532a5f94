"""From importance and allocation to a path of smaller and smaller networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.prune.choose import Units, best_units
from edgecompile.passes.prune.costs import Counts, Estimate
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.groups import Dependencies, Group
from edgecompile.passes.prune.importance.criterion import Importance
from edgecompile.passes.prune.path import (
    Allocation,
    Curves,
    error_curve,
    global_path,
    sensitivity_path,
    uniform_path,
)
from edgecompile.passes.prune.sensitivity import OutputError, measure_curves
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.observe import Sample

# Curves of sensitivity are measured with so many of the samples.
_CURVE_SAMPLES = 128


@dataclass(frozen=True)
class Plan:
    """How `model` is to shrink, by its `groups`, which are those of `dependencies` that may be cut.

    Counts of units are multiples of `multiple`. `samples` are inputs of the network; without them the
    importance must not need any, and the allocation be another than "sensitivity". `scores_are_errors` says
    that a score is the error with all units of the group gone that have lower ones.
    """

    model: Model
    dependencies: Dependencies
    groups: Sequence[Group]
    importance: Importance
    allocation: Allocation
    samples: Sequence[Sample] | None
    multiple: int = 1
    by_parameters: bool = False
    scores_are_errors: bool = False
    progress: Progress = lambda task, done, total: None

    @cached_property
    def scores(self) -> Mapping[str, Array]:
        """The importance of each unit, by the group's name."""
        self.progress("scoring", 0, None)
        return self.importance.score(self.model, self.groups, self.samples)

    @cached_property
    def path(self) -> Sequence[Counts]:
        """Counts of units, from all of them to the fewest."""
        if self.allocation == "uniform":
            return uniform_path(self.groups, self.multiple)
        if self.allocation == "global" and not self.scores_are_errors:
            return global_path(self.groups, self.scores, self.multiple)
        curves: Curves = self.curves if self.allocation == "sensitivity" else self._curves_of_scores()
        estimate = Estimate(self.model, self.groups)
        return sensitivity_path(self.groups, curves, estimate, self.multiple, self.by_parameters)

    @cached_property
    def error(self) -> OutputError:
        """Compares outputs with those of `model`."""
        return OutputError(self.model, list(self.samples or ())[:_CURVE_SAMPLES])

    @cached_property
    def curves(self) -> dict[str, dict[int, float]]:
        """The error of the outputs with so many units of one group, and weights as they are."""

        def damage(name: str, count: int) -> float:
            return self.error(cut(self.model, self.units({name: count}), self.dependencies))

        return measure_curves(self.groups, damage, self.multiple, self.progress)

    def units(self, counts: Counts) -> Units:
        """The units that stay, by the group's name; groups that stay whole are left out."""
        return best_units(self.scores, counts)

    def _curves_of_scores(self) -> dict[str, dict[int, float]]:
        return {g.name: error_curve(g, self.scores[g.name], self.multiple) for g in self.groups}
