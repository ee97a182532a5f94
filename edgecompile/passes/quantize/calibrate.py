"""Calibration: a float network and samples of its inputs give all scales, zero points and weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.quantize.constants import choose_contractions
from edgecompile.passes.quantize.equalize import Equalize
from edgecompile.passes.quantize.insert_quantization import Contraction, InsertQuantization
from edgecompile.passes.quantize.observe import Observation, Sample, observe
from edgecompile.passes.quantize.plan import Plan, make_plan, weights_axis
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.scales import Scales, choose_ranges, choose_scales, unlike_outputs

# Told what is being done, how many samples or layers of it are done, and of how many (None: not known).
Progress = Callable[[str, int, int | None], None]

# So many samples tell which channels are wide. Their exact ranges are of no importance: it is the tensor's
# range that everything goes by.
_CHANNEL_SAMPLES = 16


@dataclass(frozen=True)
class Calibrated:
    """A float network, what is to be quantized of it, and how."""

    model: Model
    plan: Plan
    scales: Scales
    contractions: Mapping[str, Contraction]
    observation: Observation
    notes: tuple[str, ...] = ()

    def quantized(self) -> Model:
        """The network with QuantizeLinear and DequantizeLinear nodes."""
        result = InsertQuantization(self.scales, self.contractions)(self.model.copy())
        return result.model.with_notes(*self.notes)

    def with_only(self, layer: str) -> Model:
        """The network with nothing quantized but the weights and the result of `layer`."""
        results = {str(node.outputs[0].name) for node in self.plan.nodes if layer_of(node) == layer}
        tensors = {name: p for name, p in self.scales.tensors.items() if name in results}
        contractions = {name: c for name, c in self.contractions.items() if name == layer}
        return InsertQuantization(Scales(tensors, {}), contractions)(self.model.copy()).model


def calibrate(
    model: Model,
    samples: Iterable[Sample],
    recipe: Recipe,
    keep_float: Sequence[str] = (),
    count: int | None = None,
    progress: Progress = lambda task, done, total: None,
) -> Calibrated:
    """Observe `model`, a network after `preparing_passes`, and decide all scales, zero points and weights.

    `samples` are iterated over once, and recipes that equalize channels look at the first ones before.
    """
    if recipe.equalize:
        model = _equalized(model, samples, recipe, keep_float, count, progress)
    graph = model.graph.graph
    plan = make_plan(graph, keep_float)
    names, channels = [str(value.name) for value in plan.sources], _contraction_inputs(plan)
    seen = Observation(counted=names, averaged=channels)
    observation = observe(model, samples, seen, lambda done: progress("calibrating", done, count))
    ranges = choose_ranges(plan, observation, recipe.ranges)
    unlike = unlike_outputs(plan, ranges)
    if unlike:
        plan = make_plan(graph, [*keep_float, *unlike])
    scales = choose_scales(plan, ranges)
    means = {name: observation.mean(name) for name in channels}
    contractions = choose_contractions(plan, scales.tensors, recipe, means)
    notes = tuple(f"{name} joins tensors of unlike ranges and is computed in float" for name in unlike)
    return Calibrated(model, plan, scales, contractions, observation, notes)


def _equalized(
    model: Model,
    samples: Iterable[Sample],
    recipe: Recipe,
    keep_float: Sequence[str],
    count: int | None,
    progress: Progress,
) -> Model:
    names = [str(value.name) for value in make_plan(model.graph.graph, keep_float).sources]
    few = itertools.islice(iter(samples), _CHANNEL_SAMPLES)
    total = None if count is None else min(count, _CHANNEL_SAMPLES)
    seen = observe(
        model, few, Observation(bounded=names), lambda done: progress("observing channels", done, total)
    )
    return Equalize(seen.greatest, recipe.per_channel)(model.copy()).model


def _contraction_inputs(plan: Plan) -> list[str]:
    nodes = [node for node in plan.nodes if weights_axis(node) is not None]
    return list(dict.fromkeys(str(node.inputs[0].name) for node in nodes if node.inputs[0] is not None))


def layer_of(node: ir.Node) -> str:
    """The name of the layer that `node` is part of: a Relu or Clip belongs to what it clamps."""
    producer = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    if node.op_type in ("Relu", "Clip") and producer is not None and weights_axis(producer) is not None:
        return str(producer.name)
    return str(node.name)
