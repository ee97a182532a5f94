"""Operators that move elements."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgecompile.backends.coreml.registry import writes
from edgecompile.backends.coreml.view import NodeView
from edgecompile.passes.edit import static_shape

_MODES = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}


@writes("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def reshape(view: NodeView) -> None:
    if view.result == ():
        view.finish(view.emit("squeeze", x=view.variable(0)))
        return
    view.finish(view.emit("reshape", x=view.variable(0), shape=list(view.result)))


@writes("Transpose")
def transpose(view: NodeView) -> None:
    perm = view.ints("perm", range(view.rank)[::-1])
    view.finish(view.emit("transpose", x=view.variable(0), perm=perm))


@writes("Concat")
def concat(view: NodeView) -> None:
    view.finish(view.emit("concat", values=view.inputs, axis=view.option("axis")))


@writes("Split")
def split(view: NodeView) -> None:
    axis = view.option("axis", 0)
    sizes = [(static_shape(value) or ())[axis] for value in view.node.outputs]
    parts = view.emit("split", x=view.variable(0), split_sizes=sizes, axis=axis)
    view.finish(*(parts if len(sizes) > 1 else [view.emit("identity", x=view.variable(0))]))


@writes("Slice")
def slice_(view: NodeView) -> None:
    starts, ends = view.integers(1), view.integers(2)
    axes = view.integers(3) if view.has(3) else tuple(range(len(starts)))
    steps = view.integers(4) if view.has(4) else (1,) * len(starts)
    begin, end, stride, rest = [0] * view.rank, list(view.shape(0)), [1] * view.rank, [True] * view.rank
    for start, stop, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = view.shape(0)[axis]
        low, high, _ = slice(start, stop, step).indices(size)
        # A stop in front of the first element cannot be said as a number.
        begin[axis], end[axis], stride[axis], rest[axis] = low, high, step, high < 0
    view.finish(
        view.emit("slice_by_index", x=view.variable(0), begin=begin, end=end, stride=stride, end_mask=rest)
    )


@writes("Pad")
def pad(view: NodeView) -> None:
    mode, amounts = view.option("mode", "constant"), view.integers(1)
    axes = [axis % view.rank for axis in view.integers(3)] if view.has(3) else range(view.rank)
    pairs = [(0, 0)] * view.rank
    for axis, low, high in zip(axes, amounts, amounts[len(amounts) // 2 :], strict=False):
        pairs[axis] = (low, high)
    if mode != "constant":  # MIL pads the last two axes at most
        pairs = pairs[-2:]
    flat = [amount for pair in pairs for amount in pair]
    value = view.input(2).item() if view.has(2) and mode == "constant" else 0
    kind = np.dtype(view.dtype()).type
    view.finish(view.emit("pad", x=view.variable(0), pad=flat, mode=_MODES[mode], constant_val=kind(value)))


@writes("Tile")
def tile(view: NodeView) -> None:
    view.finish(view.emit("tile", x=view.variable(0), reps=list(view.integers(1))))


@writes("Expand")
def expand(view: NodeView) -> None:
    """Repeat along the axes that have one element."""
    result, x = view.result, view.variable(0)
    shape = (1,) * (len(result) - view.rank) + view.shape(0)
    if shape != view.shape(0):
        x = view.emit("reshape", x=x, shape=list(shape))
    view.finish(view.emit("tile", x=x, reps=_repeats(shape, result)))


def _repeats(shape: Sequence[int], result: Sequence[int]) -> list[int]:
    return [wanted // size if size else 1 for size, wanted in zip(shape, result, strict=True)]


@writes("Gather")
def gather(view: NodeView) -> None:
    axis, indices = view.option("axis", 0), view.input(1)
    if isinstance(indices, np.ndarray):
        indices = np.where(indices < 0, indices + view.shape(0)[axis], indices).astype(np.int32)
    view.finish(view.emit("gather", x=view.weights(0), indices=indices, axis=axis))


@writes("GatherElements")
def gather_elements(view: NodeView) -> None:
    axis = view.option("axis", 0)
    view.finish(view.emit("gather_along_axis", x=view.variable(0), indices=view.input(1), axis=axis))


@writes("GatherND")
def gather_nd(view: NodeView) -> None:
    view.finish(view.emit("gather_nd", x=view.variable(0), indices=view.input(1)))


@writes("DepthToSpace")
def depth_to_space(view: NodeView) -> None:
    size, x = view.option("blocksize"), view.variable(0)
    if view.option("mode", "DCR") == "DCR":
        view.finish(view.emit("depth_to_space", x=x, block_size=size))
    else:
        view.finish(view.emit("pixel_shuffle", x=x, upscale_factor=size))


@writes("SpaceToDepth")
def space_to_depth(view: NodeView) -> None:
    view.finish(view.emit("space_to_depth", x=view.variable(0), block_size=view.option("blocksize")))


@writes("Trilu")
def trilu(view: NodeView) -> None:
    """The part above (or below) diagonal k, for k that keeps the main diagonal."""
    k = view.integers(1)[0] if view.has(1) else 0
    upper = bool(view.option("upper", 1))
    limits = {"lower": -k, "upper": -1} if upper else {"lower": -1, "upper": k}
    view.finish(view.emit("band_part", x=view.variable(0), **limits))
