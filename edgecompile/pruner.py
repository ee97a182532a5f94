"""One network that is being pruned: what can be cut, what it costs, and which of its units stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgecompile.compiled_cost import COMPILED_COSTS, CompiledCost, CostTable
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import cache_dir
from edgecompile.core.target import Target
from edgecompile.errors import MissingToolError, Problem, UsageError
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.fold_batch_norm import FoldBatchNorm
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.choose import Units, cubic_shares, first_that
from edgecompile.passes.prune.costs import Cost, Counts, macs, parameters
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.groups import Dependencies, Group
from edgecompile.passes.prune.importance.criterion import Importance
from edgecompile.passes.prune.importance.methods import Method, find_method
from edgecompile.passes.prune.path import Allocation
from edgecompile.passes.prune.plan import Plan
from edgecompile.passes.prune.recover import kept_indices, recover
from edgecompile.passes.prune.remove_layer import remove_layer
from edgecompile.passes.prune.separate_constants import SeparateConstants
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.sample_files import open_samples
from edgecompile.passes.quantize.score import score_of
from edgecompile.prune_options import PruneOptions, Recovery

# More samples say little that these do not, and their tensors are in memory.
_MOST_SAMPLES = 256


class Pruner:
    """`whole` is the network `source` as imported, `model` is it without the layers that are to go.

    Raises UsageError (EC2529), MissingToolError (EC5391), UnsupportedError (EC4391, EC4392) where PyTorch is
    to learn and cannot, and what importing, `analyse` and `remove_layer` raise.
    """

    def __init__(self, source: str, options: PruneOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        usual = "l1" if options.calibrate is None else "reconstruction"
        self._method = find_method(options.method or usual)
        progress("importing", 0, None)
        self.whole = _imported(source, options, self._method.folds_batch_norm)
        _check_names(self.whole, "--keep-whole", options.keep_whole)
        _check_names(self.whole, "--remove-layer", options.remove_layers)
        self.model = self.whole
        for name in options.remove_layers:
            self.model = remove_layer(self.model, name)
        self._samples: Sequence[Sample] | None = None
        if options.calibrate is not None:
            self._samples = list(open_samples(options.calibrate, self.whole.inputs).first(_MOST_SAMPLES))
        given = self._samples is not None
        self._allocation: Allocation = options.allocation or ("sensitivity" if given else "uniform")
        self._recovery: Recovery = options.recovery or ("least-squares" if given else "none")
        self._multiple = options.multiple or _multiple(options.target)
        self._importance = _importance(self._method)
        if self._recovery == "distill":
            from edgecompile.torch.finetune import check_trainable

            check_trainable(self.whole)
        self.dependencies = analyse(self.model)
        self.plan = self._plan(self.model, self.dependencies)

    def costs(self) -> dict[str, Cost]:
        """What is counted: MACs and parameters, and of what is measured only what is asked for."""
        found: dict[str, Cost] = {"macs": macs, "params": parameters}
        for name in self._options.keep:
            if name in COMPILED_COSTS:
                assert self._options.target is not None
                table = CostTable(cache_dir() / "costs.json")
                found[name] = CompiledCost(name, self._options.target, table, self._options.device)
        return found

    def score(self, model: Model) -> float:
        """What the function of the options says of `model`."""
        assert self._options.evaluate is not None
        return score_of(self._options.evaluate, model)

    def units_by_cost(self, costs: Mapping[str, Cost], base: Mapping[str, float]) -> Units:
        """The units that stay so that all costs are what is asked for, or as little as can be.

        Without a share to keep, all stay.
        """
        keep, rounds = self._options.keep, self._options.rounds
        if not keep:
            return {}
        survivors = {group.name: list(range(group.size)) for group in self.plan.groups}
        plan = self.plan
        for index in range(rounds):
            limits = {n: cubic_shares(share, rounds)[index] * base[n] for n, share in keep.items()}

            def small_enough(counts: Counts, plan: Plan = plan, limits: Mapping[str, float] = limits) -> bool:
                self._progress("looking for the size", 0, None)
                pruned = cut(plan.model, plan.units(counts), plan.dependencies)
                return all(costs[name](pruned) <= limit for name, limit in limits.items())

            step = first_that(plan.path, small_enough)
            chosen = plan.units(plan.path[-1 if step is None else step])
            for name, units in chosen.items():
                survivors[name] = [survivors[name][unit] for unit in units]
            if index + 1 < rounds:
                part = self._cut_units(survivors)
                current = self.recovered(self.cut(part), part)[0]
                plan = self._plan(current, analyse(current))
        return self._cut_units(survivors)

    def units_by_score(self, least: float) -> Units:
        """The fewest units with which the score is `least` or more."""

        def too_far(counts: Counts) -> bool:
            units = self.plan.units(counts)
            return self.score(self.recovered(self.cut(units), units)[0]) < least

        step = first_that(self.plan.path, too_far)
        return self.plan.units(self.plan.path[-1 if step is None else max(step - 1, 0)])

    def cut(self, units: Units) -> Model:
        """The network with these units and the weights that it had."""
        return cut(self.model, units, self.dependencies)

    def recovered(self, bare: Model, units: Units) -> tuple[Model, dict[str, Any]]:
        """`bare` with weights that make up for what is gone, and what the report says of it."""
        if self._recovery == "none" or not (units or self._options.remove_layers):
            return bare, {"how": "none"}
        assert self._samples is not None
        kept = kept_indices(self.dependencies, units)
        model, fits = recover(self.model, bare, kept, self._samples, self._progress)
        record: dict[str, Any] = {"how": self._recovery, "layers": [asdict(fit) for fit in fits]}
        if self._recovery == "distill":
            from edgecompile.torch.finetune import finetune

            model, losses = finetune(self.whole, model, self._samples, progress=self._progress)
            record["losses"] = losses
        return model, record

    def settings(self) -> dict[str, Any]:
        """What was decided on, for the report."""
        return {
            "method": self._method.name,
            "allocation": self._allocation,
            "rounds": self._options.rounds,
            "multiple": self._multiple,
            "samples": 0 if self._samples is None else len(self._samples),
        }

    def group_rows(self, units: Units) -> list[dict[str, Any]]:
        """Each group: how many units are left of how many, or why it cannot be cut."""
        return [
            {
                "name": group.name,
                "kind": group.kind,
                "size": group.size,
                "kept": len(units.get(group.name, range(group.size))),
                "frozen": self.why_frozen(group),
            }
            for group in self.dependencies.groups
        ]

    def why_frozen(self, group: Group) -> str:
        """Why `group` stays whole; "" if it may be cut."""
        asked = [name for name in group.nodes if name in self._options.keep_whole]
        return group.frozen or (f"'{asked[0]}' is to be kept whole" if asked else "")

    def _plan(self, model: Model, dependencies: Dependencies) -> Plan:
        return Plan(
            model,
            dependencies,
            [g for g in dependencies.groups if g.size > 1 and not self.why_frozen(g)],
            self._importance,
            self._allocation,
            self._samples,
            self._multiple,
            by_parameters=bool(self._options.keep) and set(self._options.keep) <= {"params", "flash"},
            scores_are_errors=self._method.scores_are_errors,
            progress=self._progress,
        )

    def _cut_units(self, survivors: Mapping[str, Sequence[int]]) -> Units:
        sizes = {group.name: group.size for group in self.plan.groups}
        return {name: list(units) for name, units in survivors.items() if len(units) < sizes[name]}


def _imported(source: str, options: PruneOptions, folds_batch_norm: bool) -> Model:
    passes = [p for p in preparing_passes() if folds_batch_norm or not isinstance(p, FoldBatchNorm)]
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    return import_through(source, imported, Pipeline((*passes, SeparateConstants())))[0]


def _multiple(target: Target | None) -> int:
    """Units that a vector of the target holds, as floats; kernels are as fast for one as for so many."""
    return max(target.isa.vector_bits // 32, 1) if target is not None else 1


def _importance(method: Method) -> Importance:
    if not method.needs_gradients:
        return method.make(None)
    try:
        from edgecompile.torch.gradients import ProjectedGradients
    except MissingToolError as error:
        what, fix = f"method '{method.name}' needs PyTorch", "pip install 'edgecompile[torch]'"
        raise MissingToolError(Problem("EC5391", what, "--method", error.problems[0].why, fix)) from None
    return method.make(ProjectedGradients())


def _check_names(model: Model, option: str, names: Sequence[str]) -> None:
    known = {str(node.name) for node in model.graph.graph}
    problems = [
        Problem("EC2529", f"there is no layer '{name}'", option, "", "see `edgecompile inspect`")
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)
