"""Moving elements: nothing is computed, only places change."""

from __future__ import annotations

import math
from itertools import accumulate

from tvm import te, tirx, topi
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import shape_of
from edgecompile.kernels.loops import Buffer, copy_run, flat_view, nest
from edgecompile.kernels.math import Expr
from edgecompile.lower.pointwise import normalized_axis
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("Reshape", "Squeeze", "Unsqueeze", kind=Kind.ALIAS, static=(1,))
@op("Flatten", "Identity", kind=Kind.ALIAS)
def reshape(n: NodeView) -> Tensor:
    """The same elements in the same order; the output's shape is already known."""
    return topi.reshape(n.input(0), n.outputs[0].shape)


@op("Transpose", kind=Kind.INJECTIVE)
def transpose(n: NodeView) -> Tensor:
    data = n.input(0)
    rank = len(data.shape)
    order = n.attr("perm", tuple(reversed(range(rank))))
    position = [order.index(axis) for axis in range(rank)]
    return te.compute(
        n.outputs[0].shape, lambda *index: data(*(index[p] for p in position)), name="transpose"
    )


@op("Slice", kind=Kind.INJECTIVE, static=(1, 2, 3, 4))
def slice_(n: NodeView) -> Tensor:
    """Every `step`-th element of a range of each axis; Python's rules for negative and large bounds."""
    data = n.input(0)
    extents = shape_of(data)
    starts, steps = [0] * len(extents), [1] * len(extents)
    for axis, start, step in _sliced_axes(n, len(extents)):
        starts[axis] = slice(start, None, step).indices(extents[axis])[0]
        steps[axis] = step
    places = list(zip(starts, steps, strict=True))
    return te.compute(
        n.outputs[0].shape,
        lambda *index: data(*(i * step + start for i, (start, step) in zip(index, places, strict=True))),
        name="slice",
    )


def _sliced_axes(n: NodeView, rank: int) -> list[tuple[int, int, int]]:
    """(axis, start, step) of a Slice node; before opset 10 they were attributes."""
    if n.attr("starts") is not None:
        starts = [int(v) for v in n.attr("starts")]
        axes = [int(v) for v in n.attr("axes", tuple(range(len(starts))))]
        return [(normalized_axis(n, a, rank), s, 1) for a, s in zip(axes, starts, strict=True)]
    starts = [int(v) for v in n.require_const(1)]
    given = n.const(3)
    axes = [int(v) for v in given] if given is not None else list(range(len(starts)))
    strides = n.const(4)
    steps = [int(v) for v in strides] if strides is not None else [1] * len(starts)
    return [
        (normalized_axis(n, axis, rank), start, step)
        for axis, start, step in zip(axes, starts, steps, strict=True)
    ]


@op("Concat", kind=Kind.OPAQUE)
def concat(n: NodeView) -> Tensor:
    """What an input has from `axis` on is one run of memory; runs of all inputs follow each other."""
    info = n.outputs[0]
    axis = normalized_axis(n, n.attr("axis"), len(info.shape))
    parts = [part for part in n.inputs if part is not None and 0 not in shape_of(part)]
    if n.isa.multiprocessors:
        return _choose_part(parts, axis, info.shape)
    runs = [math.prod(shape_of(part)[axis:]) for part in parts]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        result, sources = flat_view(writes[0]), [flat_view(read) for read in reads]
        with T.parallel(0, math.prod(info.shape[:axis])) as line:
            offset = 0
            for source, run in zip(sources, runs, strict=True):
                copy_run(result, line * sum(runs) + offset, source, line * run, run)
                offset += run

    return nest("concat", parts, [(info.shape, info.dtype)], body)[0]


def _choose_part(parts: list[Tensor], axis: int, shape: tuple[int, ...]) -> Tensor:
    """Concatenation element by element: each finds out which part it comes from."""
    ends = list(accumulate(shape_of(part)[axis] for part in parts))

    def element(*index: Expr) -> Expr:
        at = index[axis]
        values = [
            part(*index[:axis], at - begin, *index[axis + 1 :])
            for part, begin in zip(parts, [0, *ends], strict=False)
        ]
        chosen = values[-1]
        for end, value in reversed(list(zip(ends[:-1], values, strict=False))):
            chosen = tirx.if_then_else(at < end, value, chosen)
        return chosen

    return te.compute(shape, element, name="concat")


@op("Split", kind=Kind.INJECTIVE, static=(1,))
def split(n: NodeView) -> list[Tensor]:
    """Neighbouring ranges of one axis; their extents are those of the outputs."""
    data = n.input(0)
    axis = normalized_axis(n, n.attr("axis", 0), len(data.shape))
    results, offset = [], 0
    for info in n.outputs:
        results.append(_range_of(data, axis, offset, info.shape))
        offset += info.shape[axis]
    return results


def _range_of(data: Tensor, axis: int, offset: int, extents: tuple[int, ...]) -> Tensor:
    return te.compute(
        extents,
        lambda *index: data(*index[:axis], index[axis] + offset, *index[axis + 1 :]),
        name="split",
    )


@op("Tile", kind=Kind.ANCHOR, static=(1,))
def tile(n: NodeView) -> Tensor:
    data = n.input(0)
    extents = shape_of(data)
    return te.compute(
        n.outputs[0].shape,
        lambda *index: data(*(i % extent for i, extent in zip(index, extents, strict=True))),
        name="tile",
    )


@op("DepthToSpace", kind=Kind.INJECTIVE)
def depth_to_space(n: NodeView) -> Tensor:
    """Channels become blocks of pixels; mode says whether the block or the channel is the slower index."""
    data, block = n.input(0), int(n.attr("blocksize"))
    channels = n.outputs[0].shape[1]
    depth_first = n.attr("mode", "DCR") == "DCR"

    def place(b: Expr, c: Expr, y: Expr, x: Expr) -> Expr:
        inner = (y % block) * block + x % block
        channel = inner * channels + c if depth_first else c * block * block + inner
        return data(b, channel, y // block, x // block)

    return te.compute(n.outputs[0].shape, place, name="depth_to_space")


@op("SpaceToDepth", kind=Kind.INJECTIVE)
def space_to_depth(n: NodeView) -> Tensor:
    """Blocks of pixels become channels; the inverse of DepthToSpace."""
    data, block = n.input(0), int(n.attr("blocksize"))
    channels = shape_of(data)[1]
    depth_first = n.attr("mode", "DCR") == "DCR"

    def place(b: Expr, c: Expr, y: Expr, x: Expr) -> Expr:
        inner = c // channels if depth_first else c % (block * block)
        channel = c % channels if depth_first else c // (block * block)
        return data(b, channel, y * block + inner // block, x * block + inner % block)

    return te.compute(n.outputs[0].shape, place, name="space_to_depth")


@op("ReverseSequence", kind=Kind.ANCHOR)
def reverse_sequence(n: NodeView) -> Tensor:
    """The first sequence_lens[b] time steps of each batch entry b in reverse order."""
    data, lengths = n.input(0), n.input(1)
    time, batch = n.attr("time_axis", 0), n.attr("batch_axis", 1)

    def place(*index: Expr) -> Expr:
        length = lengths(index[batch]).astype("int32")
        at = list(index)
        at[time] = te.if_then_else(index[time] < length, length - 1 - index[time], index[time])
        return data(*at)

    return te.compute(n.outputs[0].shape, place, name="reverse_sequence")
