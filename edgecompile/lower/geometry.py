"""The sliding window that the attributes of a conv or pool node describe."""

from __future__ import annotations

from collections.abc import Sequence

from edgecompile.kernels.compute import Layout, Window, shape_of
from edgecompile.lower.registry import NodeView


def window_of(n: NodeView, layout: Layout, kernel: Sequence[int]) -> Window:
    """Window of Conv and the pools: `kernel` extents, with explicit or automatic padding."""
    strides, dilations = (_numbers(n, name, len(kernel)) for name in ("strides", "dilations"))
    inputs, outputs = _extents(n, layout)
    totals = [
        (o - 1) * s + (k - 1) * d + 1 - i
        for o, s, k, d, i in zip(outputs, strides, kernel, dilations, inputs, strict=True)
    ]
    pads, ends = _padding(n, totals, explicit=n.attr("auto_pad", "NOTSET") == "NOTSET")
    return Window(tuple(int(k) for k in kernel), strides, dilations, pads, ends)


def transposed_window_of(n: NodeView, layout: Layout, kernel: Sequence[int]) -> Window:
    """Window of ConvTranspose; the padding follows from the output's extents where ONNX says so."""
    rank = len(kernel)
    strides, dilations = (_numbers(n, name, rank) for name in ("strides", "dilations"))
    inputs, outputs = _extents(n, layout)
    extra = n.attr("output_padding", (0,) * rank)
    totals = [
        s * (i - 1) + e + (k - 1) * d + 1 - o
        for s, i, e, k, d, o in zip(strides, inputs, extra, kernel, dilations, outputs, strict=True)
    ]
    explicit = n.attr("auto_pad", "NOTSET") == "NOTSET" and not n.attr("output_shape")
    pads, ends = _padding(n, totals, explicit)
    return Window(tuple(int(k) for k in kernel), strides, dilations, pads, ends)


def _numbers(n: NodeView, name: str, rank: int) -> tuple[int, ...]:
    """An attribute with one number a spatial axis, 1 by default."""
    return tuple(int(v) for v in n.attr(name) or (1,) * rank)


def _extents(n: NodeView, layout: Layout) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Spatial extents of the input and of the output."""
    return layout.split(shape_of(n.input(0)))[1], layout.split(n.outputs[0].shape)[1]


def _padding(n: NodeView, totals: Sequence[int], explicit: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Padding at the beginnings and the ends, as given or as a split of `totals`.

    SAME_UPPER puts an odd element at the end, everything else at the beginning.
    """
    rank = len(totals)
    if explicit:
        pads = tuple(int(p) for p in n.attr("pads") or (0,) * 2 * rank)
        return pads[:rank], pads[rank:]
    auto_pad = n.attr("auto_pad", "NOTSET")
    if auto_pad == "VALID":
        return (0,) * rank, (0,) * rank
    totals = [max(total, 0) for total in totals]
    halves = tuple(total // 2 for total in totals)
    rest = tuple(total - half for total, half in zip(totals, halves, strict=True))
    return (halves, rest) if auto_pad == "SAME_UPPER" else (rest, halves)
