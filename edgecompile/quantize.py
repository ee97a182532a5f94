"""`edgecompile quantize`: a float network and samples go in, a quantized ONNX network comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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
from edgecompile.passes.quantize.observe import Executor
from edgecompile.passes.quantize.prepare import preparing_passes
from edgecompile.passes.quantize.recipes import find_recipe
from edgecompile.passes.quantize.report import analyze, describe
from edgecompile.passes.quantize.sample_files import call_function, load_function, open_samples

Array = np.ndarray[Any, Any]

_MEASURED_SAMPLES = 8
_SENSITIVITY_SAMPLES = 4


@dataclass(frozen=True)
class QuantizeOptions:
    """What `quantize` may be told.

    `calibrate` names the samples (see passes/quantize/sample_files.py), `recipe` what to do with them. Nodes
    named in `keep_float` compute in float. With `analyze`, the report has the sensitivity of each layer.
    `evaluate` is "module:function", called with the network as a function of batches; it returns a score.
    """

    calibrate: str
    recipe: str = "int8"
    keep_float: Sequence[str] = ()
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    trust_pickle: bool = False
    analyze: bool = False
    evaluate: str | None = None


@dataclass(frozen=True)
class QuantizeResult:
    """The network with QuantizeLinear and DequantizeLinear nodes, and the report as data."""

    model: Model
    report: dict[str, Any]


def quantize_source(
    source: str, options: QuantizeOptions, progress: Progress = lambda task, done, total: None
) -> QuantizeResult:
    """Quantize `source` (x.onnx, x.tflite, x.pt2 or module:function).

    Raises UsageError (EC2321 to EC2323), InputError (EC33xx) and what importing raises.
    """
    recipe = find_recipe(options.recipe)
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    progress("importing", 0, None)
    model, _ = import_through(source, imported, Pipeline(preparing_passes()))
    samples = open_samples(options.calibrate, model.inputs)
    _check_names(model, options.keep_float)
    calibrated = calibrate(model, samples, recipe, options.keep_float, samples.count, progress)
    quantized = calibrated.quantized()
    few = list(samples.first(_MEASURED_SAMPLES))
    report = describe(calibrated, quantized, recipe, few)
    if options.analyze:
        report |= analyze(calibrated, few[:_SENSITIVITY_SAMPLES], progress)
    if options.evaluate:
        report["evaluation"] = _evaluate(options.evaluate, model, quantized, progress)
    return QuantizeResult(quantized, report)


def write_result(result: QuantizeResult, output: Path, report: Path | None = None) -> None:
    """Write the network, and the report as JSON. Raises InputError (EC3309)."""
    try:
        output.write_bytes(result.model.to_bytes())
        if report is not None:
            report.write_text(json.dumps(result.report, indent=2, sort_keys=True) + "\n")
    except OSError as error:
        raise InputError(Problem("EC3309", "cannot write the result", str(output), str(error))) from None


def _check_names(model: Model, names: Sequence[str]) -> None:
    known = [str(node.name) for node in model.graph.graph]
    problems = [
        Problem("EC2323", f"there is no layer '{name}'", "--keep-float", "", did_you_mean(name, known))
        for name in names
        if name not in known
    ]
    if problems:
        raise UsageError(*problems)


def _evaluate(source: str, before: Model, after: Model, progress: Progress) -> dict[str, Any]:
    """What the user's function says about both networks. Raises InputError (EC3310) for what is no number."""
    score = load_function(source)
    results = {}
    for name, model in (("float", before), ("quantized", after)):
        progress(f"evaluating the {name} network", 0, None)
        result = call_function(score, source, as_function(model))
        if not isinstance(result, int | float | np.number):
            why, fix = f"it returned a {type(result).__name__}", "return one number, such as an accuracy"
            raise InputError(Problem("EC3310", f"'{source}' gives no score", source, why, fix))
        results[name] = float(result)
    return results | {"difference": results["quantized"] - results["float"]}


def as_function(model: Model) -> Callable[..., Any]:
    """`model` as a function of whole batches: arrays (N, ...) go in, one an input, and come out.

    A leading dimension of 1 in the network's shapes is the sample axis. Computed in onnxruntime, quantized
    networks without its graph optimizations.
    """
    execute = Executor(model, exact=any(node.op_type == "QuantizeLinear" for node in model.graph.graph))
    infos = model.inputs

    def run(*batches: Array) -> Any:
        results = []
        for sample in zip(*batches, strict=True):
            feeds = {
                info.name: np.ascontiguousarray(array, dtype=info.dtype).reshape(info.shape)
                for info, array in zip(infos, sample, strict=True)
            }
            results.append(list(execute(feeds).values()))
        columns = [np.stack(column) for column in zip(*results, strict=True)]
        merged = [column[:, 0] if column.shape[1:2] == (1,) else column for column in columns]
        return merged[0] if len(merged) == 1 else tuple(merged)

    return run
