"""The recipe int4w: matrix products with weights in 4 bits, all else in float.

before: y = MatMul(x, w)
after:  y = MatMul(x, DequantizeLinear(q int4 [K, N], scales [ceil(K / 32), N], axis=0, block_size=32))

Layer after layer, each on what the layers before it give that are quantized already, so that it makes up for
their errors too. Layers that do not depend on each other are calibrated in one run over the samples. What
only one layer's inputs are made of may be scaled (awq.py) before its weights are rounded (gptq.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import ml_dtypes
import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.passes.edit import Array, add_initializer, constant_of
from edgecompile.passes.quantize.awq import choose_factors, places_to_divide
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.gptq import Curvature, gptq
from edgecompile.passes.quantize.groupwise import Grouped
from edgecompile.passes.quantize.moments import Moments
from edgecompile.passes.quantize.observe import observe
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.quantize.weight_layers import (
    find_layers,
    levels,
    notes_on_float_weights,
    store_inputs_first,
)
from edgecompile.passes.rewriting import finish, insert


def weight_only(
    model: Model, samples: Samples | None, recipe: Recipe, keep_float: Sequence[str], progress: Progress
) -> Rewritten:
    """`model` with the weights of its layers in 4 bits, in groups of `recipe.group` inputs.

    Raises UnsupportedError (EC4351) when there is no such layer, and InputError: EC3351 when the network
    computes NaN or infinity for a sample, EC3352 when weights are that, EC3305 without samples.
    """
    assert samples is not None
    working = model.copy()
    graph = working.graph.graph
    layers = find_layers(graph, keep_float)
    _check(working, layers)
    notes = notes_on_float_weights(graph, keep_float)
    for node in layers:
        store_inputs_first(node)
    state = _State(graph, recipe.group)
    for level in levels(graph, layers):
        names = [_name(node.inputs[0]) for node in level]
        state.quantize(level, observe(working, samples, Moments(names)))
        progress("quantizing layers", len(state.stored), len(layers))
    state.write()
    result = finish(working, len(layers), "layers with weights in 4 bits").model.with_notes(*notes)
    return Rewritten(result, tuple(str(node.name) for node in layers))


class _State:
    """The network with some layers quantized: float weights in the graph, what they stand for in `stored`."""

    def __init__(self, graph: ir.Graph, group: int) -> None:
        self.stored: dict[ir.Node, Grouped] = {}
        self._names: dict[ir.Node, str] = {}
        self._graph, self._group = graph, group

    def quantize(self, level: Sequence[ir.Node], moments: Moments) -> None:
        """Quantize the layers in `level`, given the moments of all tensors that they read."""
        readers: dict[ir.Value, list[ir.Node]] = {}
        for node in level:
            readers.setdefault(_input(node), []).append(node)
        for value, nodes in readers.items():
            curvatures = [Curvature.of(matrix) for matrix in moments.of(_name(value))]
            weights = [_weights(node) for node in nodes]
            factors = self._scale(value, nodes, weights, curvatures)
            for node, array in zip(nodes, weights, strict=True):
                self._put(node, gptq(array, curvatures, self._group, factors)[0])

    def write(self) -> None:
        """Store all weights in 4 bits, with a DequantizeLinear behind them."""
        for node, grouped in self.stored.items():
            shape, name = grouped.integers.shape, self._names[node]
            integers = add_initializer(self._graph, f"{name}/int4", grouped.integers.astype(ml_dtypes.int4))
            scales = add_initializer(self._graph, f"{name}/scales", grouped.scales)
            attributes = {"axis": 0, "block_size": self._group}
            real = insert(
                node, "DequantizeLinear", [integers, scales], attributes, shape=shape, dtype=scales.dtype
            )
            node.replace_input_with(1, real)

    def _scale(
        self,
        value: ir.Value,
        nodes: Sequence[ir.Node],
        weights: Sequence[Array],
        curvatures: Sequence[Curvature],
    ) -> Array | None:
        """Divide the channels of `value` by factors that suit `weights`, and return them."""
        places = places_to_divide(value, nodes)
        factors = choose_factors(weights, curvatures, self._group) if places else None
        if factors is not None:
            for node, index in places or ():
                self._divide(node, index, factors)
        return factors

    def _divide(self, node: ir.Node, index: int, factors: Array) -> None:
        if index == 1 and node in self.stored:
            self._put(node, self.stored[node].with_columns_divided(factors))
            return
        old = node.inputs[index]
        array = constant_of(old)
        assert array is not None
        assert old is not None
        divided = (array / factors).astype(array.dtype)
        node.replace_input_with(index, add_initializer(self._graph, f"{old.name}/scaled", divided, old))

    def _put(self, node: ir.Node, grouped: Grouped) -> None:
        name = self._names.setdefault(node, _name(node.inputs[1]))
        self.stored[node] = grouped
        node.replace_input_with(1, add_initializer(self._graph, f"{name}/rounded", grouped.dequantized()))


def _check(model: Model, layers: Sequence[ir.Node]) -> None:
    if not layers:
        what, why = (
            "no weights can be stored in 4 bits",
            "there is no matrix product with enough constant weights",
        )
        fix = "convolutions are stored in 8 bits: --recipe int8"
        raise UnsupportedError(Problem("EC4351", what, model.provenance.source, why, fix))
    problems = [
        Problem("EC3352", "weights are NaN or infinite", str(node.name), "", "export the network again")
        for node in layers
        if not np.isfinite(_weights(node)).all()
    ]
    if problems:
        raise InputError(*problems)


def _weights(node: ir.Node) -> Array:
    array = constant_of(node.inputs[1])
    assert array is not None
    return array


def _input(node: ir.Node) -> ir.Value:
    value = node.inputs[0]
    assert value is not None
    return value


def _name(value: ir.Value | None) -> str:
    assert value is not None
    return str(value.name)
