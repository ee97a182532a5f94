"""Proof of a cut: the smaller network computes what the old one does with the removed units masked."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompile.core.model import Model
from edgecompile.passes.prove import Prover
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.constants import find_constants
from edgecompile.passes.prune.groups import Dependencies, Keep
from edgecompile.passes.prune.mask import mask_units

# Sums of fewer products are rounded differently: float32, relative to the output's greatest magnitude.
TOLERANCE = 1e-5
_SQUASHING = ("HardSigmoid", "LogSoftmax", "Sigmoid", "Softmax", "Tanh")


@dataclass(frozen=True)
class Proof:
    """`max_error` is the largest difference of any output, relative to that output's greatest magnitude.

    `exact` says whether the two are the same function; if not, `why` has a reason for each group concerned.
    """

    max_error: float
    exact: bool
    why: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether what should be equal is."""
        return not self.exact or self.max_error <= TOLERANCE


def prove(
    original: Model, pruned: Model, keep: Keep, samples: int = 2, dependencies: Dependencies | None = None
) -> Proof:
    """Compare `pruned`, cut from `original` to `keep`, with the masked `original` on seeded random inputs.

    Only what computes units is masked, not what reads them, so that the proof sees what a cut leaves behind.
    What an output squashes is compared as well: a saturated softmax would hide anything.
    """
    dependencies = dependencies or analyse(original)
    kept = dependencies.kept(keep)
    constants = find_constants(original, dependencies, kept)
    masked = mask_units(original, dependencies, kept, constants.silenced)
    owners = zip(dependencies.group_of(), kept[:-1].tolist(), strict=True)
    inexact = {group.name: group.inexact for group, stays in owners if not stays and group.inexact}
    why = tuple(f"group '{name}': {reason}" for name, reason in ({**constants.problems, **inexact}).items())
    return Proof(Prover(samples)(_with_logits(masked), _with_logits(pruned)), not why, why)


def _with_logits(model: Model) -> Model:
    """A copy that also gives what the last operators squash into their bounded outputs."""
    copy = model.copy()
    graph = copy.graph.graph
    for output in list(graph.outputs):
        node = output.producer()
        logits = node.inputs[0] if node is not None and node.op_type in _SQUASHING else None
        if logits is not None and logits.producer() is not None and not logits.is_graph_output():
            logits.name = f"{output.name}/logits"
            graph.outputs.append(logits)
    return copy
