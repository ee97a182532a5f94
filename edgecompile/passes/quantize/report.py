"""What is said about a quantized network: ranges and noise of tensors, sensitivity of layers, as data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.quantize.calibrate import Calibrated, Progress
from edgecompile.passes.quantize.measure import Sensitivity, sensitivities, suggested_float, tensor_ratios
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.plan import is_real_move
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.sparsity import sparsity_patterns

SCHEMA_VERSION = 1


def describe(
    calibrated: Calibrated, quantized: Model, recipe: Recipe, samples: Sequence[Sample]
) -> dict[str, Any]:
    """The report of `calibrated`, whose result is `quantized`; noise is measured on `samples`."""
    names = {name: f"{name}/read" for name in calibrated.scales.tensors}
    outputs = [info.name for info in quantized.outputs]
    names |= {name: name for name in outputs}
    ratios = tensor_ratios(calibrated.model, quantized, names, samples)
    histograms = calibrated.observation.histograms
    tensors = [
        {
            "name": name,
            "scale": parameters.scale,
            "zero_point": parameters.zero,
            "sqnr_db": _finite(ratios[name]),
        }
        | ({"low": histograms[name].low, "high": histograms[name].high} if name in histograms else {})
        for name, parameters in calibrated.scales.tensors.items()
    ]
    integer = {str(node.name) for node in calibrated.plan.nodes}
    float_nodes = [
        f"{node.name} ({node.op_type})"
        for node in calibrated.model.graph.graph
        if node.name not in integer and _computes_float(node)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe.name,
        "samples": calibrated.observation.samples,
        "outputs": {name: _finite(ratios[name]) for name in outputs},
        "layers_in_integers": len(integer),
        "layers_in_float": float_nodes,
        "sparse_layers": sparsity_patterns(calibrated.model.graph.graph, calibrated.contractions),
        "tensors": tensors,
        "notes": list(quantized.notes),
    }


def describe_rewrite(
    before: Model, rewritten: Rewritten, recipe: Recipe, samples: Sequence[Sample]
) -> dict[str, Any]:
    """The report of a rewrite; noise is measured on `samples`, if there are any."""
    after = rewritten.model
    outputs = {info.name: info.name for info in after.outputs}
    ratios = tensor_ratios(before, after, outputs, samples) if samples else {}
    return {
        "schema_version": SCHEMA_VERSION,
        "recipe": recipe.name,
        "outputs": {name: _finite(ratio) for name, ratio in ratios.items()},
        "layers_quantized": list(rewritten.layers),
        "bytes_of_constants": {"float": _constant_bytes(before), "quantized": _constant_bytes(after)},
        "notes": list(after.notes),
    }


def _constant_bytes(model: Model) -> int:
    arrays = [value.const_value for value in model.graph.graph.initializers.values()]
    return sum(array.nbytes for array in arrays if array is not None)


def _computes_float(node: ir.Node) -> bool:
    dtype = node.outputs[0].dtype
    return dtype is not None and dtype.is_floating_point() and not is_real_move(node)


def measure_layers(
    calibrated: Calibrated, samples: Sequence[Sample], progress: Progress
) -> list[Sensitivity]:
    """The sensitivity of each layer in integers, in the graph's order."""
    layers = calibrated.layers
    return sensitivities(
        calibrated.model,
        layers,
        calibrated.with_only,
        samples,
        lambda done: progress("measuring sensitivity", done, len(layers)),
    )


def analysis(found: Sequence[Sensitivity]) -> dict[str, Any]:
    """The sensitivity of each layer, and the layers that are worth computing in float."""
    return {
        "sensitivity": [_as_record(one) for one in found],
        "suggested_keep_float": suggested_float(found),
    }


def _as_record(one: Sensitivity) -> dict[str, Any]:
    return {"layer": one.layer, "output_sqnr_db": _finite(one.decibels)}


def _finite(decibels: float) -> float | None:
    """Decibels for JSON, which has no infinity."""
    return round(decibels, 2) if math.isfinite(decibels) else None
