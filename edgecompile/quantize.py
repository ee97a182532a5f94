"""`edgecompile quantize`: a float network and samples go in, a quantized ONNX network comes out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.errors import InputError, Problem, UsageError, did_you_mean
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.quantize.calibrate import Progress, calibrate
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.recipes import Recipe, find_recipe
from edgecompile.passes.quantize.report import analyze, describe, describe_rewrite
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
    batches; it returns a score.
    """

    calibrate: str | None = None
    recipe: str = "int8"
    keep_float: Sequence[str] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    trust_pickle: bool = False
    analyze: bool = False
    evaluate: str | None = None


@dataclass(frozen=True)
class QuantizeResult:
    """The quantized network, and the report as data."""

    model: Model
    report: dict[str, Any]


def quantize_source(
    source: str, options: QuantizeOptions, progress: Progress = lambda task, done, total: None
) -> QuantizeResult:
    """Quantize `source` (x.onnx, x.tflite, x.pt2 or module:function).

    Raises UsageError (EC2321 to EC2324), InputError (EC33xx) and what importing raises.
    """
    recipe = find_recipe(options.recipe)
    _check_samples(recipe, options)
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    progress("importing", 0, None)
    model, _ = import_through(source, imported, Pipeline(preparing_passes()))
    samples = None if options.calibrate is None else open_samples(options.calibrate, model.inputs)
    _check_names(model, options.keep_float)
    if recipe.method == "static":
        assert samples is not None
        result = _static(model, samples, recipe, options, progress)
    else:
        result = _rewrite(model, samples, recipe, options, progress)
    if options.evaluate:
        result.report["evaluation"] = _evaluate(options.evaluate, model, result.model, progress)
    return result


def _static(
    model: Model, samples: Samples, recipe: Recipe, options: QuantizeOptions, progress: Progress
) -> QuantizeResult:
    """Weights and activations in integers, on scales that are chosen once."""
    calibrated = calibrate(model, samples, recipe, options.keep_float, samples.count, progress)
    quantized = calibrated.quantized()
    few = list(samples.first(_MEASURED_SAMPLES))
    report = describe(calibrated, quantized, recipe, few)
    if options.analyze:
        report |= analyze(calibrated, few[:_SENSITIVITY_SAMPLES], progress)
    return QuantizeResult(quantized, report)


def _rewrite(
    model: Model, samples: Samples | None, recipe: Recipe, options: QuantizeOptions, progress: Progress
) -> QuantizeResult:
    """The network with other forms of its contractions; activations between them stay float."""
    rewritten = REWRITES[recipe.method](model, samples, recipe, options.keep_float, progress)
    few = [] if samples is None else list(samples.first(_MEASURED_SAMPLES))
    return QuantizeResult(rewritten.model, describe_rewrite(model, rewritten, recipe, few))


def write_result(result: QuantizeResult, output: Path, report: Path | None = None) -> None:
    """Write the network, and the report as JSON. Raises InputError (EC3309)."""
    try:
        output.write_bytes(result.model.to_bytes())
        if report is not None:
            report.write_text(json.dumps(result.report, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise InputError(Problem("EC3309", "cannot write the result", str(output), str(error))) from None


def _check_samples(recipe: Recipe, options: QuantizeOptions) -> None:
    if options.calibrate is None and recipe.needs_samples:
        why = "ranges of activations are measured on samples of the inputs"
        fix = "give --calibrate data.npz, a folder, or package.module:function"
        raise UsageError(Problem("EC2324", "--calibrate is missing", "", why, fix))


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
    return results | {"difference": results["quantized"] - results["float"]}
