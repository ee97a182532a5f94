"""Weights in few bits for compilers that expand them themselves, such as Core ML; everything else as it was.

int8w      y = Conv(x, w)  →  y = Conv(x, DequantizeLinear(w in int8, a scale for each output))
palette4   y = Conv(x, w)  →  y = Conv(x, w'), where w' has at most 16 different numbers

A palette is no other form of the network: which weights have one can be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.passes.edit import Array, add_initializer, constant_of
from edgecompile.passes.halves import is_weights
from edgecompile.passes.quantize.calibrate import Progress
from edgecompile.passes.quantize.recipes import Recipe
from edgecompile.passes.quantize.rewritten import Rewritten
from edgecompile.passes.quantize.samples import Samples
from edgecompile.passes.rewriting import finish, insert

_COLOURS = 16
_ROUNDS = 100
# The axis of weights that has an entry for each output; MatMul's and Gemm's depend on the node.
_OUTPUT_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": -1}


def store_in_bytes(
    model: Model, samples: Samples | None, recipe: Recipe, keep_float: Sequence[str], progress: Progress
) -> Rewritten:
    """A copy of `model` with int8 weights. Raises UnsupportedError (EC4602) when there are none to store."""
    return _store(model, keep_float, _as_bytes, "layers with weights in 8 bits")


def store_as_palettes(
    model: Model, samples: Samples | None, recipe: Recipe, keep_float: Sequence[str], progress: Progress
) -> Rewritten:
    """A copy of `model` with 16 different weights a layer. Raises UnsupportedError (EC4602) likewise."""
    return _store(model, keep_float, _as_palette, "layers with 16 different weights")


def _store(
    model: Model, keep_float: Sequence[str], change: Callable[[ir.Value, Array], None], what: str
) -> Rewritten:
    result = model.copy()
    graph = result.graph.graph
    layers = []
    for value in list(graph.initializers.values()):
        weights = constant_of(value)
        readers = value.consumers()
        if weights is None or weights.dtype != np.float32 or not is_weights(value) or weights.ndim < 2:
            continue
        if any(node.name in keep_float or node.op_type not in _OUTPUT_AXIS for node in readers):
            continue
        change(value, weights)
        layers += [str(node.name) for node in readers]
    if not layers:
        problem = "there are no weights to store in few bits"
        fix = "only those of 256 elements or more are, of convolutions and matrix products"
        raise UnsupportedError(Problem("EC4602", problem, "", "", fix))
    order = {str(node.name): position for position, node in enumerate(graph)}
    finished = finish(result, len(layers), what).model
    return Rewritten(finished, tuple(sorted(layers, key=order.__getitem__)))


def _as_bytes(value: ir.Value, weights: Array) -> None:
    first = value.consumers()[0]
    axis = _OUTPUT_AXIS[first.op_type] % weights.ndim
    if first.op_type == "Gemm" and first.attributes.get_int("transB", 0) == 1:
        axis = 0
    others = tuple(at for at in range(weights.ndim) if at != axis)
    scales = np.abs(weights).max(others) / np.float32(127)
    scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
    shaped = scales.reshape([-1 if at == axis else 1 for at in range(weights.ndim)])
    integers = np.clip(np.rint(weights / shaped), -127, 127).astype(np.int8)
    graph = first.graph
    assert isinstance(graph, ir.Graph)
    operands = [
        add_initializer(graph, f"{value.name}/{label}", array)
        for label, array in (("int8", integers), ("scales", scales))
    ]
    ordered = next(node for node in graph if value in node.inputs)
    expanded = insert(
        ordered, "DequantizeLinear", operands, {"axis": axis}, shape=weights.shape, dtype=ir.DataType.FLOAT
    )
    value.replace_all_uses_with(expanded)


def _as_palette(value: ir.Value, weights: Array) -> None:
    colours = palette(weights, _COLOURS)
    nearest = np.searchsorted((colours[1:] + colours[:-1]) / 2, weights)
    value.const_value = ir.tensor(colours[nearest].astype(np.float32), name=value.name)


def palette(weights: Array, count: int) -> Array:
    """The `count` numbers of float16, ascending, that `weights` are nearest to: a local least square error.

    Lloyd, Least squares quantization in PCM (1982), in one dimension, from quantiles.
    """
    ordered = np.sort(weights.ravel().astype(np.float64))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centres = np.quantile(ordered, (np.arange(count) + 0.5) / count)
    for _ in range(_ROUNDS):
        inner = np.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2)
        edges = np.concatenate([[0], inner, [len(ordered)]])
        sizes = np.diff(edges)
        moved = np.where(sizes > 0, np.diff(sums[edges]) / np.maximum(sizes, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return np.asarray(centres.astype(np.float16).astype(np.float64))
