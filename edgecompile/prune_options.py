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
from edgecompile.passes.prune.sparse import parse_pattern

Array = np.ndarray[Any, Any]
Recovery = Literal["none", "least-squares", "distill"]

RESOURCES = ("macs", "params", *COMPILED_COSTS)
_CALIBRATE = "give --calibrate data.npz, a folder, or package.module:function"


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
    for, on `device`. `remove_layers` go first, see `remove_layer`; at last, weights get the zeros of the
    pattern `sparse`, see `parse_pattern`.
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
    remove_layers: Sequence[str] = ()
    sparse: str | None = None


def check_options(options: PruneOptions) -> None:
    """Raise UsageError (EC2050, EC2052, EC2520, EC2521, EC2524 to EC2528) with all that is wrong."""
    problems = [*_goals(options), *_settings(options)]
    drop, evaluate = options.max_accuracy_drop, options.evaluate
    if drop is not None and evaluate is None:
        fix = "add --evaluate package.module:function, which takes a network and returns its score"
        problems.append(Problem("EC2527", "--evaluate is missing", "--max-accuracy-drop", "", fix))
    if drop is not None and not (drop >= 0 and np.isfinite(drop)):
        what, fix = f"a drop of {drop:g} cannot be reached", "give 0 or more, in the units of the score"
        problems.append(Problem("EC2527", what, "--max-accuracy-drop", "", fix))
    if drop is not None and (options.rounds > 1 or options.hard):
        what, fix = "--rounds and --hard go with a share to keep", "give --keep-macs, or leave them out"
        problems.append(Problem("EC2052", what, "--max-accuracy-drop", "", fix))
    if problems:
        raise UsageError(*problems)


def check_sensitivity(options: PruneOptions) -> None:
    """Raise UsageError (EC2050, EC2053, EC2520, EC2521, EC2528): what measuring sensitivity cannot do."""
    problems = _settings(options)
    if options.calibrate is None:
        what = "sensitivity is measured on samples"
        problems.append(Problem("EC2521", what, "--calibrate", "it is missing", _CALIBRATE))
    if options.keep or options.max_accuracy_drop is not None:
        what, fix = "sensitivity is measured and nothing is cut", "leave either out"
        problems.append(Problem("EC2053", what, "--sensitivity", "how far to cut was said too", fix))
    if problems:
        raise UsageError(*problems)


def _goals(options: PruneOptions) -> list[Problem]:
    """What is wrong with how much is to be left."""
    problems, drop = [], options.max_accuracy_drop
    if options.keep and drop is not None:
        what, fix = "two goals at once", "give shares to keep, or --max-accuracy-drop"
        problems.append(Problem("EC2524", what, "", "either is a goal", fix))
    if not (options.keep or drop is not None or options.remove_layers or options.sparse):
        fix = "give --keep-macs 0.5 or the like, or --max-accuracy-drop with --evaluate"
        problems.append(Problem("EC2524", "nothing says how far to cut", "", "", fix))
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
    return problems


def _settings(options: PruneOptions) -> list[Problem]:
    """What is wrong with how to cut; raises for names of methods and patterns that nobody knows."""
    if options.sparse is not None:
        parse_pattern(options.sparse)
    problems = _without_samples(options) if options.calibrate is None else []
    if options.rounds < 1 or (options.multiple is not None and options.multiple < 1):
        fix = "give 1 or more"
        problems.append(Problem("EC2528", "there is nothing to count", "--rounds, --multiple", "", fix))
    return problems


def _without_samples(options: PruneOptions) -> list[Problem]:
    """What was asked for that looks at what the network computes."""
    asked = {
        f"allocation '{options.allocation}'": options.allocation == "sensitivity",
        f"recovery '{options.recovery}'": options.recovery not in (None, "none"),
        f"method '{options.method}'": options.method is not None
        and find_method(options.method).needs_samples,
    }
    return [
        Problem("EC2521", f"{what} needs samples", "--calibrate", "it is missing", _CALIBRATE)
        for what, needed in asked.items()
        if needed
    ]
