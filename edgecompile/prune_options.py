"""What `edgecompile prune` may be told, and what of that makes sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgecompile.compiled_cost import COMPILED_COSTS
from edgecompile.core.target import Target
from edgecompile.errors import Problem, UsageError
from edgecompile.passes.prune.importance.methods import find_method
from edgecompile.passes.prune.path import Allocation

Array = np.ndarray[Any, Any]
Recovery = Literal["none", "least-squares", "distill"]

RESOURCES = ("macs", "params", *COMPILED_COSTS)


@dataclass(frozen=True)
class PruneOptions:
    """What `prune` may be told.

    `keep` has the share that is to be left of resources (see `RESOURCES`), each in (0, 1]; with `hard`, not
    reaching one is an error. Instead, `max_accuracy_drop` cuts as far as the score of `evaluate`
    ("module:function", as `quantize` takes it) allows. `calibrate` names samples of the inputs; the
    defaults of `method`, `allocation` and `recovery` (None) are "reconstruction", "sensitivity" and
    "least-squares" with them, and "l1", "uniform" and "none" without. `rounds` cut a part each, and look
    again at what is left. Nodes in `keep_whole` lose nothing. Counts of units are multiples of `multiple`,
    by default those that the vectors of `target` ask for. `target` is what bytes and latency are measured
    for, on `device`.
    """

    keep: Mapping[str, float] = field(default_factory=dict)
    hard: bool = False
    target: Target | None = None
    device: str | None = None
    calibrate: str | None = None
    method: str | None = None
    allocation: Allocation | None = None
    recovery: Recovery | None = None
    rounds: int = 1
    keep_whole: Sequence[str] = ()
    multiple: int | None = None
    evaluate: str | None = None
    max_accuracy_drop: float | None = None
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    trust_pickle: bool = False


def check_options(options: PruneOptions) -> None:
    """Raise UsageError (EC2520, EC2521, EC2524 to EC2528) with all that is wrong about `options`."""
    problems = []
    drop = options.max_accuracy_drop
    if bool(options.keep) == (drop is not None):
        what = (
            "say how much to keep, or how much accuracy may be lost" if drop is None else "two goals at once"
        )
        fix = "give --keep-macs 0.5 or the like, or --max-accuracy-drop with --evaluate"
        problems.append(Problem("EC2524", what, "", "either is a goal", fix))
    for name, share in options.keep.items():
        if name not in RESOURCES:
            fix = "give one of " + ", ".join(RESOURCES)
            problems.append(Problem("EC2525", f"there is no resource '{name}'", "--prune", "", fix))
        elif not 0 < share <= 1:
            what, why = f"a share of {share:g} cannot be kept", "1 is all of it"
            problems.append(Problem("EC2525", what, f"--keep-{name}", why, "give a number such as 0.5"))
        elif name in COMPILED_COSTS and options.target is None:
            why = "it depends on the target and is measured by compiling for it"
            problems.append(Problem("EC2526", "--target is missing", f"--keep-{name}", why, "add --target"))
    if drop is not None and options.evaluate is None:
        fix = "add --evaluate package.module:function, which takes a network and returns its score"
        problems.append(Problem("EC2527", "--evaluate is missing", "--max-accuracy-drop", "", fix))
    if drop is not None and not (drop >= 0 and np.isfinite(drop)):
        fix = "give 0 or more, in the units of the score"
        problems.append(
            Problem("EC2527", f"a drop of {drop:g} cannot be reached", "--max-accuracy-drop", "", fix)
        )
    if options.calibrate is None:
        problems += _without_samples(options)
    if options.rounds < 1 or (options.multiple is not None and options.multiple < 1):
        fix = "give 1 or more"
        problems.append(Problem("EC2528", "there is nothing to count", "--rounds, --multiple", "", fix))
    if problems:
        raise UsageError(*problems)


def _without_samples(options: PruneOptions) -> list[Problem]:
    """What was asked for that looks at what the network computes."""
    asked = {
        f"allocation '{options.allocation}'": options.allocation == "sensitivity",
        f"recovery '{options.recovery}'": options.recovery not in (None, "none"),
        f"method '{options.method}'": options.method is not None
        and find_method(options.method).needs_samples,
    }
    fix = "give --calibrate data.npz, a folder, or package.module:function"
    return [
        Problem("EC2521", f"{what} needs samples", "--calibrate", "it is missing", fix)
        for what, needed in asked.items()
        if needed
    ]
