"""Calibration: a float network and samples of its inputs give all scales, zero points and weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.bias import product_of
from edgecompile.passes.quantize.channel_groups import channel_groups
from edgecompile.passes.quantize.constants import choose_contractions
from edgecompile.passes.quantize.equalize import Equalize
from edgecompile.passes.quantize.insert_quantization import Contraction, InsertQuantization
from edgecompile.passes.quantize.observe import Observation, Sample, observe
from edgecompile.passes.quantize.plan import Plan, make_plan, reading_axis, weights_axis
from edgecompile.passes.quantize.ranges import Range
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.scales import Scales, choose_ranges, choose_scales, unlike_outputs

# Told what is being done, how many samples or layers of it are done, and of how many (None: not known).
Progress = Callable[[str, int, int | None], None]

# So many samples tell which channels are wide. Their exact ranges are of no importance: it is the tensor's
# range that everything goes by.
_CHANNEL_SAMPLES = 16


@dataclass(frozen=True)
class Observed:
    """A float network, its channels equalized, and what its tensors held: ranges, means of channels."""

    model: Model
    observation: Observation
    ranges: Mapping[str, Range]
    means: Mapping[str, Array]


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

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers in integers, in the graph's order."""
        return tuple(dict.fromkeys(layer_of(node) for node in self.plan.nodes))

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
    """Observe `model`, a network after `preparing_passes`, and decide all scales, zero points and weights."""
    return decide(observe_tensors(model, samples, recipe, keep_float, count, progress), recipe, keep_float)


def observe_tensors(
    model: Model,
    samples: Iterable[Sample],
    recipe: Recipe,
    keep_float: Sequence[str] = (),
    count: int | None = None,
    progress: Progress = lambda task, done, total: None,
) -> Observed:
    """All that is to be known of `model` for `decide`, with the nodes `keep_float` or more of them in float.

    `samples` are iterated over once, and recipes that equalize channels look at the first ones before.
    """
    if recipe.equalize:
        model = _equalized(model, samples, recipe, keep_float, count, progress)
    plan = make_plan(model.graph.graph, keep_float, recipe.activations)
    names, axes = [str(value.name) for value in plan.sources], _channel_axes(plan)
    seen = Observation(counted=names, averaged=list(axes), axes=axes)
    observation = observe(model, samples, seen, lambda done: progress("calibrating", done, count))
    means = {name: observation.mean(name) for name in axes}
    return Observed(model, observation, choose_ranges(plan, observation, recipe.ranges), means)


def decide(observed: Observed, recipe: Recipe, keep_float: Sequence[str] = ()) -> Calibrated:
    """All scales, zero points and weights, from what was observed: no sample is looked at."""
    graph, ranges = observed.model.graph.graph, observed.ranges
    plan = make_plan(graph, keep_float, recipe.activations)
    unlike = unlike_outputs(plan, ranges, recipe.activations)
    if unlike:
        plan = make_plan(graph, [*keep_float, *unlike], recipe.activations)
    scales = choose_scales(plan, ranges, recipe.activations)
    contractions = choose_contractions(plan, scales.tensors, recipe, observed.means)
    notes = tuple(f"{name} joins tensors of unlike ranges and is computed in float" for name in unlike)
    return Calibrated(observed.model, plan, scales, contractions, observed.observation, notes)


def _equalized(
    model: Model,
    samples: Iterable[Sample],
    recipe: Recipe,
    keep_float: Sequence[str],
    count: int | None,
    progress: Progress,
) -> Model:
    quantized = set(make_plan(model.graph.graph, keep_float, recipe.activations).sources)
    groups = channel_groups(model.graph.graph)
    axes = {str(v.name): axis for group in groups for v, axis in group.axes.items() if v in quantized}
    if not axes:
        return model
    few = itertools.islice(iter(samples), _CHANNEL_SAMPLES)
    total = None if count is None else min(count, _CHANNEL_SAMPLES)
    bounded = Observation(bounded=list(axes), axes=axes)
    seen = observe(model, few, bounded, lambda done: progress("observing channels", done, total))
    return Equalize(seen.greatest, recipe.per_channel)(model.copy()).model


def _channel_axes(plan: Plan) -> dict[str, int]:
    """The axis of channels of what contractions read, by name, where all of them see the same one."""
    found: dict[str, set[int]] = {}
    for node in plan.nodes:
        if weights_axis(node) is not None and node.inputs[0] is not None:
            found.setdefault(str(node.inputs[0].name), set()).add(reading_axis(node))
    return {name: axes.pop() for name, axes in found.items() if len(axes) == 1}


def layer_of(node: ir.Node) -> str:
    """The name of the layer that `node` is part of: a clamp or an added bias belongs to a product."""
    source = node
    if node.op_type in ("Relu", "Clip") and node.inputs[0] is not None:
        source = node.inputs[0].producer() or node
    product = product_of(source) if source.op_type == "Add" else source
    return str(product.name if product is not None and weights_axis(product) is not None else node.name)
