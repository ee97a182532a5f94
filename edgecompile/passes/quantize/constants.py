"""The integers of weights and biases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.quantize.bias import bias_place, constant_bias
from edgecompile.passes.quantize.insert_quantization import Contraction
from edgecompile.passes.quantize.parameters import Parameters, bias_safe, round_weights, weight_scales
from edgecompile.passes.quantize.plan import Plan, weights_axis
from edgecompile.passes.quantize.recipes import Recipe


def choose_contractions(
    plan: Plan,
    parameters: Mapping[str, Parameters],
    recipe: Recipe,
    means: Mapping[str, Array],
) -> dict[str, Contraction]:
    """The integers of the weights and biases of all planned contractions, by node name.

    `means` has the mean of each channel of the tensors that contractions read; with them, biases are
    corrected.
    """
    chosen = {}
    for node in plan.nodes:
        axis = weights_axis(node)
        if axis is not None and node.inputs[0] is not None:
            name = str(node.inputs[0].name)
            scale = parameters[name].scale
            chosen[str(node.name)] = _contraction(node, axis, scale, recipe, means.get(name))
    return chosen


def _contraction(
    node: ir.Node, axis: int, input_scale: float, recipe: Recipe, mean: Array | None
) -> Contraction:
    weights = constant_of(node.inputs[1])
    assert weights is not None
    bias = constant_bias(node)
    kept_axis = axis if recipe.per_channel else None
    scales = weight_scales(weights, kept_axis, recipe.clip_weights)
    if bias is not None:
        scales = bias_safe(scales, bias, input_scale)
    rounded = round_weights(weights, scales, kept_axis)
    if recipe.correct_bias and mean is not None and bias_place(node) is not None:
        before = np.zeros(weights.shape[axis]) if bias is None else bias
        bias = before - mean_shift(node, weights, rounded.real() - weights, mean)
    return Contraction(rounded, bias, input_scale)


def mean_shift(node: ir.Node, weights: Array, error: Array, mean: Array) -> Array:
    """How far `error` in the weights moves the mean of each output channel.

    `mean` is that of each input channel (M. Nagel et al., "Data-free quantization through weight
    equalization and bias correction", 2019, section 4.2). Padding is taken for data.
    """
    if node.op_type in ("Gemm", "MatMul"):
        columns = error if node.attributes.get_int("transB", 0) else error.T
        return np.asarray(columns.astype(np.float64) @ mean)
    groups = node.attributes.get_int("group", 1)
    inputs = mean.reshape(groups, 1, -1)
    sums = error.reshape(groups, weights.shape[0] // groups, weights.shape[1], -1).sum(
        axis=3, dtype=np.float64
    )
    return np.asarray((sums * inputs).sum(axis=2).reshape(-1))
