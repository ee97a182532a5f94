"""Operators that move elements."""

from __future__ import annotations

import math
from typing import Any

from edgecompile.backends.tflite.images import from_image, image, image_shape, pad
from edgecompile.backends.tflite.registry import NotExpressible, writes
from edgecompile.backends.tflite.view import NodeView

_REFLECT = 0


@writes("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
def reshape(n: NodeView) -> None:
    """RESHAPE."""
    n.finish(n.reshape(n.input(0), n.shape))


@writes("Transpose")
def transpose(n: NodeView) -> None:
    """TRANSPOSE."""
    n.finish(n.transpose(n.input(0), n.option("perm") or range(len(n.shape))[::-1]))


@writes("Concat")
def concat(n: NodeView) -> None:
    """CONCATENATION."""
    inputs = [n.input(i) for i in range(len(n.node.inputs))]
    n.finish(n.emit("CONCATENATION", inputs, n.shape, Axis=n.option("axis") % len(n.shape)))


@writes("Pad")
def padding(n: NodeView) -> None:
    """PAD, PADV2 or MIRROR_PAD."""
    mode, rank = n.option("mode", "constant"), len(n.shape)
    if n.has(3):
        raise NotExpressible("it pads chosen axes")
    pads = n.integers(1)
    around = list(zip(pads[:rank], pads[rank:], strict=True))
    if min(pads) < 0 or mode not in ("constant", "reflect"):
        raise NotExpressible("it crops" if min(pads) < 0 else f"its mode is {mode}")
    if mode == "reflect":
        table = n.constant(around, "int32", "paddings")
        n.finish(n.emit("MIRROR_PAD", [n.input(0), table], n.shape, Mode=_REFLECT))
        return
    n.finish(pad(n, n.input(0), around, int(n.array(2).item()) if n.has(2) else 0))


@writes("Slice")
def slice_(n: NodeView) -> None:
    """STRIDED_SLICE with every axis written out."""
    shape = n.tensor(n.input(0)).shape
    begins, ends = n.integers(1), n.integers(2)
    axes = n.integers(3) if n.has(3) else tuple(range(len(begins)))
    steps = n.integers(4) if n.has(4) else (1,) * len(begins)
    ranges = [range(size) for size in shape]
    for axis, begin, end, step in zip(axes, begins, ends, steps, strict=True):
        if step < 0:
            raise NotExpressible("it goes backwards")
        ranges[axis] = range(shape[axis])[begin:end:step]
    n.finish(_strided_slice(n, n.input(0), ranges))


@writes("Gather")
def gather(n: NodeView) -> None:
    """A STRIDED_SLICE for neighbours, else GATHER."""
    axis, wanted = n.option("axis", 0), n.array(1)
    shape = n.tensor(n.input(0)).shape
    axis %= len(shape)
    numbers = [int(number) % shape[axis] for number in wanted.ravel()]
    if numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        ranges = [range(size) for size in shape]
        ranges[axis] = range(numbers[0], numbers[0] + len(numbers))
        n.finish(n.reshape(_strided_slice(n, n.input(0), ranges), n.shape))
        return
    places = n.constant(wanted % shape[axis], "int32", "indices")
    n.finish(n.emit("GATHER", [n.input(0), places], n.shape, Axis=axis, BatchDims=0))


@writes("Tile")
def tile(n: NodeView) -> None:
    """TILE."""
    n.finish(n.emit("TILE", [n.input(0), n.constant(n.integers(1), "int32", "repeats")], n.shape))


@writes("ReduceMax", "ReduceMin")
def extremes(n: NodeView) -> None:
    """REDUCE_MAX and REDUCE_MIN."""
    shape = n.tensor(n.input(0)).shape
    axes = [axis % len(shape) for axis in (n.integers(1) if n.has(1) else range(len(shape)))]
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    kind = {"ReduceMax": "REDUCE_MAX", "ReduceMin": "REDUCE_MIN"}[n.node.op_type]
    index = n.emit(kind, [n.input(0), n.constant(axes, "int32", "axes")], kept, KeepDims=True)
    n.finish(n.reshape(index, n.shape))


@writes("Resize", "ResizeNhwc")
def resize_nearest(n: NodeView) -> None:
    """RESIZE_NEAREST_NEIGHBOR by whole factors, where all ways to count positions agree."""
    index = image(n)
    before, after = n.tensor(index).shape, image_shape(n)
    repeats = all(big % small == 0 for big, small in zip(after, before, strict=True))
    mode = n.option("coordinate_transformation_mode", "half_pixel")
    floors = n.option("nearest_mode", "round_prefer_floor") == "floor"
    centred = mode in ("half_pixel", "pytorch_half_pixel") and not floors
    if not repeats or not (centred or (mode == "asymmetric" and floors)):
        raise NotExpressible("it does not repeat elements a whole number of times")
    size = n.constant(after[1:3], "int32", "size")
    options: dict[str, Any] = {"AlignCorners": False, "HalfPixelCenters": False}
    from_image(n, n.emit("RESIZE_NEAREST_NEIGHBOR", [index, size], after, **options))


def _strided_slice(n: NodeView, index: int, ranges: list[range]) -> int:
    shape = [len(part) for part in ranges]
    if not math.prod(shape):
        raise NotExpressible("its result is empty")
    rows = ([r.start for r in ranges], [r.stop for r in ranges], [r.step for r in ranges])
    labels = ("begin", "end", "strides")
    operands = [n.constant(row, "int32", label) for row, label in zip(rows, labels, strict=True)]
    return n.emit("STRIDED_SLICE", [index, *operands], shape)
