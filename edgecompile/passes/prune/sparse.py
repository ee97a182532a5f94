"""Zeros in weights that stay where they are: N of M neighbours, or whole blocks of a weight matrix.

This makes no tensor smaller, and kernels for dense weights multiply by zeros as by any other number: neither
memory nor time is won on them. It is for hardware that skips such zeros (A. Mishra et al., "Accelerating
Sparse Deep Neural Networks", 2021), and for what stores weights compressed. Quantization keeps the zeros, see
`passes/quantize/sparsity.py`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from edgecompile.core.model import Model
from edgecompile.errors import Problem, UsageError
from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.assign import assign
from edgecompile.passes.quantize.sparsity import Pattern, input_axis

NOTE = (
    "dense kernels compute zeros like any other number: these weights are neither smaller nor faster on them"
)
_CONTRACTIONS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Blocks:
    """Blocks of `outputs` x `inputs` channels, all places of a kernel; the weakest `share` become 0."""

    outputs: int
    inputs: int
    share: float


@dataclass(frozen=True)
class SparseLayer:
    """What share of the weights of the layer `name` is 0."""

    name: str
    zeros: float


def parse_pattern(text: str) -> Pattern | Blocks:
    """ "2:4", or "4x1:0.5" for blocks of 4 outputs x 1 input, half of them 0.

    Raises UsageError (EC2050) for anything else.
    """
    neighbours = re.fullmatch(r"(\d+):(\d+)", text)
    if neighbours and 0 < int(neighbours[1]) < int(neighbours[2]):
        return Pattern(int(neighbours[1]), int(neighbours[2]))
    blocks = re.fullmatch(r"(\d+)x(\d+):(0?\.\d+)", text)
    if blocks and min(int(blocks[1]), int(blocks[2])) > 0:
        return Blocks(int(blocks[1]), int(blocks[2]), float(blocks[3]))
    fix = "give N:M such as 2:4, or OUTPUTSxINPUTS:SHARE such as 4x1:0.5"
    raise UsageError(Problem("EC2050", f"there is no pattern of zeros '{text}'", "--sparse", "", fix))


def sparsify(model: Model, pattern: Pattern | Blocks) -> tuple[Model, tuple[SparseLayer, ...]]:
    """A copy of `model` with the least weights of each contraction 0 in `pattern`, and what was changed.

    Layers that read fewer inputs than the pattern is long, such as depthwise ones, stay as they are. The
    notes of the model say what it is good for.
    """
    result = model.copy()
    layers = []
    for node in result.graph.graph:
        value = node.inputs[1] if node.op_type in _CONTRACTIONS and not node.domain else None
        weights = constant_of(value)
        if value is None or weights is None or (node.op_type != "Conv" and weights.ndim != 2):
            continue
        rows = np.moveaxis(weights, (1 - input_axis(node), input_axis(node)), (0, 1))
        kept = _neighbours(rows, pattern) if isinstance(pattern, Pattern) else _blocks(rows, pattern)
        if kept.all():
            continue
        kept = np.moveaxis(kept, (0, 1), (1 - input_axis(node), input_axis(node)))
        assign(value, np.where(kept, weights, 0).astype(weights.dtype))
        layers.append(SparseLayer(str(node.name), float(1 - kept.mean())))
    return (result.with_notes(NOTE) if layers else result), tuple(layers)


def _neighbours(weights: Array, pattern: Pattern) -> Array:
    """Which of `weights` [outputs, inputs, ...] are among the greatest of their block along the inputs."""
    if weights.shape[1] < pattern.length:
        return np.ones(weights.shape, bool)
    magnitude = np.moveaxis(np.abs(weights), 1, -1)
    padded = np.pad(magnitude, [(0, 0)] * (weights.ndim - 1) + [(0, -weights.shape[1] % pattern.length)])
    blocks = padded.reshape(*padded.shape[:-1], -1, pattern.length)
    order = np.argsort(-blocks, axis=-1, kind="stable")
    kept = np.zeros(blocks.shape, bool)
    np.put_along_axis(kept, order[..., : pattern.kept], True, axis=-1)
    return np.moveaxis(kept.reshape(padded.shape)[..., : weights.shape[1]], -1, 1)


def _blocks(weights: Array, pattern: Blocks) -> Array:
    """Which of `weights` are in one of the blocks of the greatest mean square."""
    outputs, inputs = weights.shape[:2]
    if outputs < pattern.outputs or inputs < pattern.inputs:
        return np.ones(weights.shape, bool)
    rows, columns = np.arange(outputs) // pattern.outputs, np.arange(inputs) // pattern.inputs
    squares = np.zeros((rows[-1] + 1, columns[-1] + 1))
    np.add.at(
        squares,
        (rows[:, None], columns),
        np.square(weights, dtype=np.float64).reshape(outputs, inputs, -1).mean(-1),
    )
    squares /= np.bincount(rows)[:, None] * np.bincount(columns)
    gone = np.argsort(squares, axis=None, kind="stable")[: math.floor(squares.size * pattern.share)]
    kept = np.ones(squares.size, bool)
    kept[gone] = False
    kept = kept.reshape(squares.shape)[rows[:, None], columns]
    return np.broadcast_to(kept.reshape(outputs, inputs, *(1,) * (weights.ndim - 2)), weights.shape)
