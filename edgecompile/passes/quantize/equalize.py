"""Scale channels so that those of one tensor have like ranges.

before: Conv(x, w1, b1) -> Relu -> Conv(., w2)
after:  Conv(x, w1 / s, b1 / s) -> Relu -> Conv(., w2 * s)          s: one positive number a channel

before: LayerNormalization(x, g, b) -> MatMul(., q), MatMul(., k), MatMul(., v)
after:  LayerNormalization(x, g / s, b / s) -> MatMul(., q * s), MatMul(., k * s), MatMul(., v * s)

All 256 integers of a tensor serve all of its channels, and in depthwise networks some channels are a hundred
times wider than others; so are a few behind the normalizations of transformers. What stands between producer
and consumer must commute with a positive factor a channel: Relu, sums of tensors that are scaled alike,
pools. A Clip at 6 does as long as no channel that reaches 6 is scaled, which is known from calibration
samples.

After M. Nagel et al., "Data-free quantization through weight equalization and bias correction" (2019), and
G. Xiao et al., "SmoothQuant: accurate and efficient post-training quantization for large language models"
(2023), with its exponent 0.5; ranges of activations and weights are balanced in one formula.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import Array, add_initializer, constant_of
from edgecompile.passes.quantize.channel_groups import ChannelGroup, channel_groups
from edgecompile.passes.quantize.plan import weights_axis
from edgecompile.passes.rewriting import finish

_ROUNDS = 3
_GREATEST_FACTOR = 256.0
# A channel that comes this close to the bound of its Clip is taken to reach it.
_REACHES = 0.999
# No channel becomes wider than the widest was by more than this factor, or weights would be paid for with
# more than a bit of the activations.
_WIDER = 2.0
# Weights this far below the greatest of their layer are nothing: training with decay leaves 1e-30 of those
# of a channel that it gave up, and no factor could make them count.
_NOTHING = 1 / (_GREATEST_FACTOR * 127)


class Equalize:
    """`greatest` has the greatest magnitude of each channel of a tensor, by its name.

    With `per_channel` weights, the rows of weights need no balance: each has a scale of its own.
    """

    name = "equalize"
    tolerance = 1e-3  # where inputs reach the bound of a Clip that no calibration sample reached, it is more

    def __init__(self, greatest: Mapping[str, Array], per_channel: bool) -> None:
        self._greatest = dict(greatest)
        self._per_channel = per_channel

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        groups = [group for group in channel_groups(graph) if self._is_observed(group)]
        weights = {node: _Weights.of(node) for group in groups for node in (*group.writers, *group.readers)}
        factors = [np.ones(group.channels) for group in groups]
        for _ in range(_ROUNDS):
            for group, factor in zip(groups, factors, strict=True):
                self._balance(group, factor, weights)
        for changed in weights.values():
            changed.store(graph)
        for group, factor in zip(groups, factors, strict=True):
            for node, index in group.vectors:
                _divide(graph, node, index, factor)
        return finish(model, len(groups), "tensors with equalized channels")

    def _balance(self, group: ChannelGroup, factor: Array, weights: Mapping[ir.Node, _Weights]) -> None:
        """Improve the `factor` of each channel of `group` in place, and scale its `weights` accordingly."""
        seen = self._range_of(group)
        wanted = factor * _balance(group, seen / factor, weights, self._per_channel)
        step = _limited(group, wanted, seen) / factor
        factor *= step
        for node in group.writers:
            weights[node].divide_outputs(step)
        for node in group.readers:
            weights[node].multiply_inputs(step)

    def _is_observed(self, group: ChannelGroup) -> bool:
        return any(value.name in self._greatest for value in group.values)

    def _range_of(self, group: ChannelGroup) -> Array:
        found = [self._greatest[str(value.name)] for value in group.values if value.name in self._greatest]
        return _greatest(found).astype(np.float64)


@dataclass
class _Weights:
    """Weights and bias of one contraction, float64, on the way to other values."""

    node: ir.Node
    weights: Array
    bias: Array | None
    axis: int

    @staticmethod
    def of(node: ir.Node) -> _Weights:
        weights, axis = constant_of(node.inputs[1]), weights_axis(node)
        bias = constant_of(node.inputs[2]) if len(node.inputs) > 2 else None
        assert weights is not None
        assert axis is not None
        return _Weights(
            node, weights.astype(np.float64), None if bias is None else bias.astype(np.float64), axis
        )

    @property
    def is_depthwise(self) -> bool:
        return self.node.op_type == "Conv" and self.weights.shape[1] == 1 and self.groups > 1

    @property
    def groups(self) -> int:
        return self.node.attributes.get_int("group", 1)

    def output_ranges(self) -> Array:
        """The greatest weight of each output channel."""
        others = tuple(i for i in range(self.weights.ndim) if i != self.axis)
        return np.asarray(np.abs(self.weights).max(axis=others))

    def input_ranges(self) -> Array:
        """The greatest weight that each input channel is multiplied by."""
        if self.node.op_type != "Conv":
            return np.asarray(np.abs(self.weights).max(axis=self.axis))
        rows = np.abs(self.weights).reshape(
            self.groups, -1, self.weights.shape[1], math.prod(self.weights.shape[2:])
        )
        return np.asarray(rows.max(axis=(1, 3)).reshape(-1))

    def divide_outputs(self, factors: Array) -> None:
        shape = [1] * self.weights.ndim
        shape[self.axis] = -1
        self.weights /= factors.reshape(shape)
        if self.bias is not None:
            # A Gemm's bias may be a row or one number for all.
            self.bias = self.bias / factors.reshape((1,) * (self.bias.ndim - 1) + (-1,))

    def multiply_inputs(self, factors: Array) -> None:
        if self.node.op_type != "Conv":
            self.weights *= factors.reshape((1, -1) if self.axis == 0 else (-1, 1))
            return
        blocks = self._blocks() * factors.reshape(self.groups, 1, -1, 1)
        self.weights = blocks.reshape(self.weights.shape)

    def _blocks(self) -> Array:
        """Weights of a Conv as [groups, outputs of one, inputs of one, elements of the window]."""
        outputs, inputs = self.weights.shape[:2]
        window = math.prod(self.weights.shape[2:])
        return self.weights.reshape(self.groups, outputs // self.groups, inputs, window)

    def store(self, graph: ir.Graph) -> None:
        """Write the constants into the graph."""
        for place, array in ((1, self.weights), (2, self.bias)):
            old = self.node.inputs[place] if array is not None else None
            if old is not None and array is not None:
                name = f"{old.name}/equalized"
                self.node.replace_input_with(
                    place, add_initializer(graph, name, array.astype(np.float32), old)
                )


def _balance(
    group: ChannelGroup, activations: Array, weights: Mapping[ir.Node, _Weights], per_channel: bool
) -> Array:
    """Factors that bring the ranges of activations and weights of each channel closest to their means.

    In logarithms: activations and rows shrink by the factor, columns grow by it; the least squares solution
    is a mean. A depthwise column is a row as well, so it is free when rows have their own scales.
    """
    shrinking = [activations]
    if not per_channel and group.writers:
        shrinking.append(_greatest(weights[node].output_ranges() for node in group.writers))
    dense = [weights[node] for node in group.readers if not (per_channel and weights[node].is_depthwise)]
    growing = [_greatest(reader.input_ranges() for reader in dense)] if dense else []
    used = np.all([array > _NOTHING * array.max() for array in (*shrinking, *growing)], axis=0)
    total = np.zeros(group.channels)
    for array, sign in (*((a, 1) for a in shrinking), *((a, -1) for a in growing)):
        total[used] += sign * np.log(array[used])
    total /= len(shrinking) + len(growing)
    if used.any():
        # The whole tensor keeps its range.
        widest = np.flatnonzero(used)[activations[used].argmax()]
        total[used] -= total[widest]
    return np.exp(total)


def _divide(graph: ir.Graph, node: ir.Node, index: int, factors: Array) -> None:
    """Divide the constant input `index` of `node`, which has one number a channel, by `factors`."""
    old = node.inputs[index]
    array = constant_of(old)
    assert old is not None
    assert array is not None
    divided = array.astype(np.float64) / factors.reshape(array.shape)
    name = f"{old.name}/equalized"
    node.replace_input_with(index, add_initializer(graph, name, divided.astype(np.float32), old))


def _greatest(arrays: Iterable[Array]) -> Array:
    return np.asarray(np.max(list(arrays), axis=0))


def _limited(group: ChannelGroup, factors: Array, activations: Array) -> Array:
    """`factors`, made such that no channel that a Clip lets through is cut off, and none is scaled wildly."""
    factors = np.clip(factors, 1 / _GREATEST_FACTOR, _GREATEST_FACTOR)
    widest = min(group.bound, _WIDER * float(activations.max()))
    if not widest:
        return factors
    free = activations < _REACHES * group.bound
    return np.asarray(np.where(free, np.maximum(factors, activations / widest), 1.0))
