"""`edgecompile prune`: a network goes in, a smaller one of the same operators comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.compiled_cost import COMPILED_COSTS, CompiledCost, CostTable
from edgecompile.core.chart import Line, line_chart
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import cache_dir
from edgecompile.core.target import Target
from edgecompile.errors import InputError, MissingToolError, Problem, UnsupportedError, UsageError
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.fold_batch_norm import FoldBatchNorm
from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.choose import Units, cubic_shares, first_that
from edgecompile.passes.prune.costs import Cost, Counts, macs, parameters
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.groups import Dependencies, Group, index_map
from edgecompile.passes.prune.importance.criterion import Importance
from edgecompile.passes.prune.importance.methods import Method, find_method
from edgecompile.passes.prune.path import Allocation
from edgecompile.passes.prune.plan import Plan, Progress
from edgecompile.passes.prune.proof import prove
from edgecompile.passes.prune.recover import kept_indices, recover
from edgecompile.passes.prune.sensitivity import as_record
from edgecompile.passes.prune.separate_constants import SeparateConstants
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.sample_files import open_samples
from edgecompile.passes.quantize.score import score_of
from edgecompile.prune_options import PruneOptions, Recovery, check_options

Array = np.ndarray[Any, Any]
# More samples say little that these do not, and their tensors are in memory.
_MOST_SAMPLES = 256
_NOTHING: Progress = lambda task, done, total: None  # noqa: E731


@dataclass(frozen=True)
class PruneResult:
    """The pruned network, and the report as data."""

    model: Model
    report: dict[str, Any]


def prune_source(source: str, options: PruneOptions, progress: Progress = _NOTHING) -> PruneResult:
    """Prune `source` (x.onnx, x.tflite, x.pt2 or module:function).

    Raises UsageError (EC2520 to EC2529), InputError (EC33xx, EC352x), UnsupportedError (EC4391 by methods
    that need gradients, EC4530, EC4539), MissingToolError (EC5391), and what importing raises.
    """
    check_options(options)
    pruning = _open(source, options, progress)
    base = {name: cost(pruning.model) for name, cost in pruning.costs.items()}
    by_score = options.max_accuracy_drop is not None
    units = pruning.units_by_score() if by_score else pruning.units_by_cost(base)
    bare = pruning.cut(units)
    proof = prove(pruning.model, bare, units, dependencies=pruning.dependencies)
    recovered, recovery = pruning.recovered(bare, units)
    after = {name: cost(recovered) for name, cost in pruning.costs.items()}
    reached = {name: after[name] / (base[name] or 1.0) for name in base}
    _check_reached(reached, pruning, options)
    report: dict[str, Any] = {
        **pruning.settings(),
        "goal": dict(options.keep),
        "costs": {n: {"before": base[n], "after": after[n], "left": reached[n]} for n in base},
        "reached": all(reached[name] <= share + 1e-9 for name, share in options.keep.items()),
        "groups": pruning.group_rows(units),
        "proof": asdict(proof) | {"holds": proof.holds},
        "indices": index_map(pruning.dependencies, units),
        "recovery": recovery,
    }
    if options.evaluate is not None:
        progress("evaluating", 0, None)
        scores = [score_of(options.evaluate, model) for model in (pruning.model, recovered)]
        report["evaluation"] = {"before": scores[0], "after": scores[1], "difference": scores[1] - scores[0]}
    return PruneResult(recovered, report)


def measure_sensitivity(
    source: str, options: PruneOptions, progress: Progress = _NOTHING
) -> list[dict[str, object]]:
    """For each group the error of the outputs with fewer and fewer of its units, as data; see `draw`.

    Raises what `prune_source` does, and UsageError (EC2521) without samples.
    """
    if options.calibrate is None:
        fix = "give --calibrate data.npz, a folder, or package.module:function"
        what = "sensitivity is measured on samples"
        raise UsageError(Problem("EC2521", what, "--calibrate", "it is missing", fix))
    pruning = _open(source, options, progress)
    return as_record(pruning.plan.groups, pruning.plan.curves)


def draw(curves: Sequence[Mapping[str, Any]], title: str) -> str:
    """The curves of `measure_sensitivity` as an SVG picture: error in decibels over the share of units."""
    lines = [
        Line(
            str(curve["group"]),
            [
                (100 * count / curve["size"], 10 * float(np.log10(max(error, 1e-6))))
                for count, error in zip(curve["units"], curve["errors"], strict=True)
                if count < curve["size"]
            ],
        )
        for curve in curves
        if len(curve["units"]) > 1
    ]
    return line_chart(title, "units left, %", "error of the outputs, dB", lines)


def write_result(result: PruneResult, output: Path, report: Path | None = None) -> None:
    """Write the network, and the report as JSON. Raises InputError (EC3524)."""
    try:
        output.write_bytes(result.model.to_bytes())
        if report is not None:
            report.write_text(json.dumps(result.report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(Problem("EC3524", "cannot write the result", str(output), str(error))) from None


def _open(source: str, options: PruneOptions, progress: Progress) -> _Pruning:
    """Import the network and its samples, and find out what can be cut."""
    method = find_method(options.method or ("l1" if options.calibrate is None else "reconstruction"))
    progress("importing", 0, None)
    kept = [p for p in preparing_passes() if method.folds_batch_norm or not isinstance(p, FoldBatchNorm)]
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    model, _ = import_through(source, imported, Pipeline((*kept, SeparateConstants())))
    samples = None
    if options.calibrate is not None:
        samples = list(open_samples(options.calibrate, model.inputs).first(_MOST_SAMPLES))
    _check_names(model, options.keep_whole)
    return _Pruning(model, analyse(model), method, _importance(method), options, samples, progress)


class _Pruning:
    """One network that is being pruned as `options` say."""

    def __init__(
        self,
        model: Model,
        dependencies: Dependencies,
        method: Method,
        importance: Importance,
        options: PruneOptions,
        samples: Sequence[Sample] | None,
        progress: Progress,
    ) -> None:
        self.model, self.dependencies, self._method = model, dependencies, method
        self._importance, self._options, self._samples = importance, options, samples
        self._progress = progress
        given = samples is not None
        self._allocation: Allocation = options.allocation or ("sensitivity" if given else "uniform")
        self._recovery: Recovery = options.recovery or ("least-squares" if given else "none")
        self._multiple = options.multiple or _multiple(options.target)
        self.plan = self._plan(model, dependencies)

    @property
    def costs(self) -> dict[str, Cost]:
        """What is counted: MACs and parameters, and of what is measured only what is asked for."""
        found: dict[str, Cost] = {"macs": macs, "params": parameters}
        table = CostTable(cache_dir() / "costs.json")
        for name in self._options.keep:
            if name in COMPILED_COSTS:
                assert self._options.target is not None
                found[name] = CompiledCost(name, self._options.target, table, self._options.device)
        return found

    def units_by_cost(self, base: Mapping[str, float]) -> Units:
        """The units that stay so that all costs are what is asked for, or as little as can be."""
        keep, costs, rounds = self._options.keep, self.costs, self._options.rounds
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

    def units_by_score(self) -> Units:
        """The fewest units with which the score is as good as is asked for."""
        source, drop = self._options.evaluate, self._options.max_accuracy_drop
        assert source is not None
        assert drop is not None
        self._progress("evaluating", 0, None)
        least = score_of(source, self.model) - drop

        def too_far(counts: Counts) -> bool:
            units = self.plan.units(counts)
            return score_of(source, self.recovered(self.cut(units), units)[0]) < least

        step = first_that(self.plan.path, too_far)
        return self.plan.units(self.plan.path[-1 if step is None else max(step - 1, 0)])

    def cut(self, units: Units) -> Model:
        """The network with these units and the weights that it had."""
        return cut(self.model, units, self.dependencies)

    def recovered(self, bare: Model, units: Units) -> tuple[Model, dict[str, Any]]:
        """`bare` with weights that make up for what is gone, and what the report says of it."""
        if self._recovery == "none" or not units:
            return bare, {"how": "none"}
        assert self._samples is not None
        kept = kept_indices(self.dependencies, units)
        model, fits = recover(self.model, bare, kept, self._samples, self._progress)
        record: dict[str, Any] = {"how": self._recovery, "layers": [asdict(fit) for fit in fits]}
        if self._recovery == "distill":
            from edgecompile.torch.finetune import finetune

            model, losses = finetune(self.model, model, self._samples, progress=self._progress)
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
        groups = [g for g in dependencies.groups if g.size > 1 and not self.why_frozen(g)]
        by_parameters = bool(self._options.keep) and set(self._options.keep) <= {"params", "flash"}
        return Plan(
            model,
            dependencies,
            groups,
            self._importance,
            self._allocation,
            self._samples,
            self._multiple,
            by_parameters,
            self._method.scores_are_errors,
            self._progress,
        )

    def _cut_units(self, survivors: Mapping[str, Sequence[int]]) -> Units:
        sizes = {group.name: group.size for group in self.plan.groups}
        return {name: list(units) for name, units in survivors.items() if len(units) < sizes[name]}


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


def _check_names(model: Model, names: Sequence[str]) -> None:
    known = {str(node.name) for node in model.graph.graph}
    problems = [
        Problem("EC2529", f"there is no layer '{name}'", "--keep-whole", "", "see `edgecompile inspect`")
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)


def _check_reached(reached: Mapping[str, float], pruning: _Pruning, options: PruneOptions) -> None:
    frozen = [g.name for g in pruning.dependencies.groups if g.size > 1 and pruning.why_frozen(g)]
    problems = [
        Problem(
            "EC4539",
            f"the network cannot be cut to {share:g} of its {name}",
            f"--keep-{name}",
            f"it reaches {reached[name]:.2f}; these cannot be cut: {', '.join(frozen) or 'none'}",
            "ask for less, or leave --hard out",
        )
        for name, share in options.keep.items()
        if options.hard and reached[name] > share + 1e-9
    ]
    if problems:
        raise UnsupportedError(*problems)
