"""Give the layers of a pruned network weights that make up for what is gone; no labels, no training.

Layer by layer, the weights are those of the least square error between what the layer computes from the
pruned network's tensors and what it computed in the original network (Y. He, X. Zhang, J. Sun, "Channel
pruning for accelerating very deep neural networks", 2017). A layer that a residual sum reads makes up for
the error of the other branch as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.passes.edit import Array, add_initializer, constant_of, static_shape
from edgecompile.passes.matching import only_reader, other_input, scalar
from edgecompile.passes.prune.contractions import WIDEST, Contraction, find_contractions
from edgecompile.passes.prune.groups import Dependencies, Keep
from edgecompile.passes.prune.least_squares import Rows, fit, joined
from edgecompile.passes.prune.statistics import require_finite
from edgecompile.passes.quantize.bias import bias_place, constant_bias
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.observe import Executor, Sample

# One of so many samples does not teach, but decides how far weights may move.
_HELD_BACK = 8
# Samples that are computed side by side.
_AT_A_TIME = 2

# By the name of a constant and an axis of it: which indices are left.
Kept = Mapping[tuple[str, int], Sequence[int]]


@dataclass(frozen=True)
class LayerFit:
    """What recovery did for one layer: its relative square error on held-back samples, before and after."""

    name: str
    before: float
    after: float


def kept_indices(dependencies: Dependencies, keep: Keep) -> dict[tuple[str, int], list[int]]:
    """What is left of each axis that is cut when units `keep` stay; raises as `Dependencies.kept` does."""
    kept = dependencies.kept(keep)
    return {
        place: np.flatnonzero(kept[units]).tolist()
        for place, units in dependencies.slots.items()
        if not kept[units].all()
    }


def recover(
    original: Model,
    pruned: Model,
    kept: Kept,
    samples: Sequence[Sample],
    progress: Progress = lambda task, done, total: None,
) -> tuple[Model, list[LayerFit]]:
    """`pruned` with other weights, and what they are better for; `kept` says what is left of the original.

    Nodes have the same names in both networks. Layers whose inputs are what they were keep their weights, as
    do those that share them with others, and very wide ones. Raises InputError (EC3520).
    """
    result, before = pruned.copy(), {one.name: one for one in find_contractions(original)}
    layers = [one for one in _changed(result, kept) if one.name in before]
    fits = []
    for done, layer in enumerate(layers):
        progress("recovering", done, len(layers))
        work = _Layer(original, result, before[layer.name], layer, kept)
        fits.append(work.solve(samples))
    progress("recovering", len(layers), len(layers))
    return result, fits


def _changed(pruned: Model, kept: Kept) -> Iterator[Contraction]:
    """The contractions that read something else than in the original network."""
    contractions = {one.name: one for one in find_contractions(pruned)}
    cut = {name for name, _ in kept}
    tainted: set[ir.Value] = set()
    for node in pruned.graph.graph:
        reads = [value for value in node.inputs if value is not None]
        contraction = contractions.get(str(node.name))
        changed = any(value in tainted for value in reads)
        wide = contraction is not None and contraction.width > WIDEST
        if contraction is not None and changed and not wide and len(tuple(reads[1].uses())) == 1:
            yield contraction
        if changed or any(value.name in cut for value in reads):
            tainted.update(node.outputs)


class _Layer:
    """The regression of one layer: what it reads in the pruned network, what it should give."""

    def __init__(
        self, original: Model, pruned: Model, before: Contraction, layer: Contraction, kept: Kept
    ) -> None:
        self._layer, self._graph = layer, pruned.graph.graph
        self._place = bias_place(layer.node)
        channels = kept.get((before.weights, before.output_axis))
        self._channels = slice(None) if channels is None else np.array(channels, np.int64)
        self._target, self._other, behind = before.result, "", before.node.outputs[0]
        wanted, other = _residual(before.node), _residual(layer.node)
        if wanted is not None and other is not None:
            self._target, self._other, behind = str(wanted[0].name), str(other[1].name), wanted[0]
        self._bounds = _clamp(behind)
        # One thread each: samples are computed side by side.
        self._original = Executor(original, [self._target], threads=1)
        self._pruned = Executor(pruned, [layer.source, *([self._other] if self._other else [])], threads=1)

    def solve(self, samples: Sequence[Sample]) -> LayerFit:
        """Give the layer the weights that `samples` ask for."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            rows = list(pool.map(self._rows, samples, itertools.count()))
        held_back = rows[_HELD_BACK - 1 :: _HELD_BACK] or rows
        teaching = [one for i, one in enumerate(rows) if i % _HELD_BACK != _HELD_BACK - 1]
        start, has_bias = self._layer.matrix(), self._place is not None
        if has_bias:
            bias = constant_bias(self._layer.node)
            row = np.zeros(start.shape[0] * start.shape[2]) if bias is None else bias.astype(float)
            start = np.concatenate([start, row.reshape(len(start), 1, -1)], axis=1)
        found = fit(joined(teaching), joined(held_back), start, has_bias)
        if found.after < found.before:
            self._store(found.weights)
        return LayerFit(self._layer.name, found.before, found.after)

    def _rows(self, sample: Sample, number: int) -> Rows:
        values = self._pruned(sample)
        target = self._original(sample)[self._target]
        require_finite(self._target, target, number)
        axis = self._layer.channel_axis
        wanted = np.moveaxis(np.moveaxis(target, axis, 0)[self._channels], 0, axis)
        other = values[self._other] if self._other else np.zeros((), np.float32)
        x = self._layer.rows(values[self._layer.source], number)
        if self._place is not None:
            x = np.concatenate([x, np.ones((*x.shape[:2], 1), np.float32)], axis=2)
        low, high = (
            None if bound is None else self._layer.results(bound - other + np.zeros_like(wanted), number)
            for bound in self._bounds
        )
        return Rows(x, self._layer.results(wanted - other, number), low, high)

    def _store(self, weights: Array) -> None:
        node = self._layer.node
        if self._place is not None:
            owner, index = self._place
            self._store_bias(owner, index, weights[:, -1].reshape(-1).astype(np.float32))
            weights = weights[:, :-1]
        value = node.inputs[1]
        assert value is not None
        value.const_value = ir.tensor(self._layer.constant(weights), name=value.name)

    def _store_bias(self, owner: ir.Node, index: int, bias: Array) -> None:
        old = owner.inputs[index] if index < len(owner.inputs) else None
        array = constant_of(old)
        if old is not None and array is not None and len(tuple(old.uses())) == 1:
            old.const_value = ir.tensor(bias.reshape(array.shape), name=old.name)
            return
        owner.resize_inputs(max(index + 1, len(owner.inputs)))
        shaped = bias if array is None else bias.reshape(array.shape)
        owner.replace_input_with(index, add_initializer(self._graph, f"{owner.name}/own_bias", shaped))


def _residual(node: ir.Node) -> tuple[ir.Value, ir.Value] | None:
    """The sum that alone reads the result of `node`, and what else it adds, of the same shape."""
    result = node.outputs[0]
    add = only_reader(result)
    if add is None or add.op_type != "Add" or add.domain:
        return None
    other = other_input(add, result)
    if other is None or constant_of(other) is not None or static_shape(other) != static_shape(result):
        return None
    return add.outputs[0], other


def _clamp(value: ir.Value) -> tuple[float | None, float | None]:
    """What the node that alone reads `value` clamps it to: a Relu, or a Clip by constants."""
    reader = only_reader(value)
    if reader is None or reader.domain or reader.op_type not in ("Relu", "Clip"):
        return None, None
    if reader.op_type == "Relu":
        return 0.0, None
    bounds = [scalar(reader.inputs[i]) if i < len(reader.inputs) else None for i in (1, 2)]
    return bounds[0], bounds[1]
