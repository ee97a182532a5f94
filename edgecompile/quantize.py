"""`edgecompile quantize`: a float network and samples go in, a quantized ONNX network comes out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.store import write_file
from edgecompile.errors import MissingToolError, Problem, UnsupportedError, UsageError, did_you_mean
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.quantize.calibrate import Calibrated, Observed, Progress, decide, observe_tensors
from edgecompile.passes.quantize.measure import Sensitivity
from edgecompile.passes.quantize.mixed_precision import MixedPrecision, choose_float_layers
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.recipes import Recipe, find_recipe
from edgecompile.passes.quantize.report import analysis, describe, describe_rewrite, measure_layers
from edgecompile.passes.quantize.rewrites import REWRITES
from edgecompile.passes.quantize.sample_files import open_samples
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.quantize.score import score_of

Array = np.ndarray[Any, Any]

_MEASURED_SAMPLES = 8
_SENSITIVITY_SAMPLES = 4


@dataclass(frozen=True)
class QuantizeOptions:
    """What `quantize` may be told.

    `calibrate` names the samples (see passes/quantize/sample_files.py), `recipe` what to do with them; some
    recipes do without samples. Nodes named in `keep_float` compute in float. With `analyze`, the report has
    the sensitivity of each layer. `evaluate` is "module:function", called with the network as a function of
    batches; it returns a score. With `max_accuracy_drop`, layers are kept in float until the score, larger
    being better, is at most so much below that of the float network. With `reconstruct`, the rounding of
    weights is learned (edgecompile/torch/reconstruct.py), in so many `reconstruct_steps` for each block.
    """

    calibrate: str | None = None
    recipe: str = "int8"
    keep_float: Sequence[str] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    trust_pickle: bool = False
    analyze: bool = False
    evaluate: str | None = None
    max_accuracy_drop: float | None = None
    reconstruct: bool = False
    reconstruct_steps: int | None = None


@dataclass(frozen=True)
class QuantizeResult:
    """The quantized network, and the report as data."""

    model: Model
    report: dict[str, Any]


def quantize_source(
    source: str, options: QuantizeOptions, progress: Progress = lambda task, done, total: None
) -> QuantizeResult:
    """Quantize `source` (x.onnx, x.tflite, x.pt2 or module:function).

    Raises UsageError (EC2321 to EC2324, EC2391, EC2392, EC2401 to EC2403), InputError (EC33xx, EC3401,
    EC3402), UnsupportedError (EC4033 for a quantized network), with `reconstruct` UnsupportedError (EC4391,
    EC4392) and MissingToolError (EC5391), and what importing raises.
    """
    recipe = find_recipe(options.recipe)
    _check_samples(recipe, options)
    _check_drop(recipe, options)
    _check_reconstruction(recipe, options)
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    progress("importing", 0, None)
    model, _ = import_through(source, imported, Pipeline(preparing_passes()))
    _refuse_quantized(model)
    samples = None if options.calibrate is None else open_samples(options.calibrate, model.inputs)
    _check_names(model, options.keep_float)
    if recipe.method == "static":
        assert samples is not None
        result = _static(model, samples, recipe, options, progress)
    else:
        result = _rewrite(model, samples, recipe, options, progress)
    if options.evaluate and "evaluation" not in result.report:
        result.report["evaluation"] = _evaluate(options.evaluate, model, result.model, progress)
    return result


def _static(
    model: Model, samples: Samples, recipe: Recipe, options: QuantizeOptions, progress: Progress
) -> QuantizeResult:
    """Weights and activations in integers, on scales that are chosen once."""
    observed = observe_tensors(model, samples, recipe, options.keep_float, samples.count, progress)
    calibrated = first = decide(observed, recipe, options.keep_float)
    few = list(samples.first(_MEASURED_SAMPLES))

    @cache
    def layers() -> list[Sensitivity]:
        return measure_layers(first, few[:_SENSITIVITY_SAMPLES], progress)

    mixed = _mixed_precision(model, observed, recipe, options, layers, progress)
    if mixed is not None and mixed.kept:
        calibrated = decide(observed, recipe, [*options.keep_float, *mixed.kept])
    calibrated, reconstruction = _reconstructed(calibrated, samples, options, progress)
    quantized = calibrated.quantized()
    report = describe(calibrated, quantized, recipe, few) | reconstruction
    if options.analyze:
        report |= analysis(layers())
    if mixed is not None:
        report["mixed_precision"] = mixed.as_record()
        report["notes"] += mixed.notes
        report["evaluation"] = _evaluation(mixed.float_score, mixed.score)
        report.pop("suggested_keep_float", None)
    return QuantizeResult(quantized, report)


def _reconstructed(
    calibrated: Calibrated, samples: Samples, options: QuantizeOptions, progress: Progress
) -> tuple[Calibrated, dict[str, Any]]:
    """`calibrated` with learned rounding when that is asked for, and what the report says of it."""
    if not options.reconstruct:
        return calibrated, {}
    from edgecompile.torch.reconstruct import STEPS, reconstruct

    steps = options.reconstruct_steps or STEPS
    found, losses = reconstruct(calibrated, samples, steps, progress)
    return found, {"reconstruction": {"steps": steps, "blocks": [asdict(loss) for loss in losses]}}


def _mixed_precision(
    model: Model,
    observed: Observed,
    recipe: Recipe,
    options: QuantizeOptions,
    layers: Callable[[], Sequence[Sensitivity]],
    progress: Progress,
) -> MixedPrecision | None:
    """The layers to keep in float when a drop is given; every trial is decided from what was `observed`."""
    source, drop = options.evaluate, options.max_accuracy_drop
    if source is None or drop is None:
        return None

    def score(kept: Sequence[str]) -> float:
        progress(f"scoring with {len(kept)} layers in float", 0, None)
        return score_of(source, decide(observed, recipe, [*options.keep_float, *kept]).quantized())

    def by_sensitivity() -> list[str]:
        return [one.layer for one in sorted(layers(), key=lambda one: one.decibels)]

    progress("evaluating the float network", 0, None)
    return choose_float_layers(score, score_of(source, model), drop, by_sensitivity, source)


def _rewrite(
    model: Model, samples: Samples | None, recipe: Recipe, options: QuantizeOptions, progress: Progress
) -> QuantizeResult:
    """The network with other forms of its contractions; activations between them stay float."""
    rewritten = REWRITES[recipe.method](model, samples, recipe, options.keep_float, progress)
    few = [] if samples is None else list(samples.first(_MEASURED_SAMPLES))
    return QuantizeResult(rewritten.model, describe_rewrite(model, rewritten, recipe, few))


def write_result(result: QuantizeResult, output: Path, report: Path | None = None) -> None:
    """Write the network, and the report as JSON. Raises InputError (EC3032)."""
    write_file(output, result.model.to_bytes())
    if report is not None:
        text = json.dumps(result.report, indent=2, sort_keys=True) + "\n"
        write_file(report, text.encode())


def _check_samples(recipe: Recipe, options: QuantizeOptions) -> None:
    if options.calibrate is None and recipe.needs_samples:
        why = "ranges of activations are measured on samples of the inputs"
        fix = "give --calibrate data.npz, a folder, or package.module:function"
        raise UsageError(Problem("EC2324", "--calibrate is missing", "", why, fix))


def _check_drop(recipe: Recipe, options: QuantizeOptions) -> None:
    drop, where = options.max_accuracy_drop, "--max-accuracy-drop"
    if drop is None:
        return
    problems = []
    if options.evaluate is None:
        fix = "add --evaluate package.module:function, which takes a network and returns its score"
        problems.append(Problem("EC2401", "--evaluate is missing", where, "the drop is one of a score", fix))
    if not (drop >= 0 and math.isfinite(drop)):
        fix = "give 0 or more, in the units of the score"
        problems.append(Problem("EC2402", f"a drop of {drop:g} cannot be reached", where, "", fix))
    if recipe.method != "static":
        why, fix = f"recipe '{recipe.name}' has no such choice", "use int8, or leave the option out"
        problems.append(Problem("EC2403", "layers cannot be kept in float by their score", where, why, fix))
    if problems:
        raise UsageError(*problems)


def _check_reconstruction(recipe: Recipe, options: QuantizeOptions) -> None:
    steps, where = options.reconstruct_steps, "--reconstruct"
    problems = []
    if steps is not None and steps < 1:
        what, fix = f"{steps} steps of reconstruction teach nothing", "give 1 or more"
        problems.append(Problem("EC2391", what, "--reconstruct-steps", "", fix))
    if steps is not None and not options.reconstruct:
        what, fix = "nothing is reconstructed in these steps", "add --reconstruct"
        problems.append(Problem("EC2391", what, "--reconstruct-steps", "", fix))
    if options.reconstruct and recipe.method != "static":
        why, fix = f"recipe '{recipe.name}' has no blocks of integers", "use int8, or leave the option out"
        problems.append(Problem("EC2392", "there is nothing to reconstruct", where, why, fix))
    if options.reconstruct and options.max_accuracy_drop is not None:
        why = "layers are chosen by scores of networks without reconstruction"
        fix = "let it choose layers first, then give them as --keep-float with --reconstruct"
        problems.append(Problem("EC2392", "--max-accuracy-drop does not go with it", where, why, fix))
    if problems:
        raise UsageError(*problems)
    if options.reconstruct:
        _require_torch()


def _require_torch() -> None:
    try:
        import edgecompile.torch.reconstruct  # noqa: F401
    except MissingToolError as error:
        what, fix = "reconstruction needs PyTorch", "pip install 'edgecompile[torch]'"
        problem = Problem("EC5391", what, "--reconstruct", error.problems[0].why, fix)
        raise MissingToolError(problem) from None


def _refuse_quantized(model: Model) -> None:
    for node in model.graph.graph:
        if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"):
            what, why = "the network is quantized already", f"it is {node.op_type}"
            raise UnsupportedError(Problem("EC4033", what, node.name or "", why, "compile it as it is"))


def _check_names(model: Model, names: Sequence[str]) -> None:
    known = [str(node.name) for node in model.graph.graph]
    problems = [
        Problem("EC2323", f"there is no layer '{name}'", "--keep-float", "", did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)


def _evaluate(source: str, before: Model, after: Model, progress: Progress) -> dict[str, float]:
    results = {}
    for name, model in (("float", before), ("quantized", after)):
        progress(f"evaluating the {name} network", 0, None)
        results[name] = score_of(source, model)
    return _evaluation(results["float"], results["quantized"])


def _evaluation(before: float, after: float) -> dict[str, float]:
    return {"float": before, "quantized": after, "difference": after - before}
