"""Parts of tensors, and tensors with something around them: slices and paddings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from edgecompile.frontend.tflite.movement import padding_value
from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.schema import Shape
from edgecompile.frontend.tflite.view import OperatorView

_LAST = np.iinfo(np.int64).max
_FIRST = np.iinfo(np.int64).min


@translates("SLICE")
def slice_(n: OperatorView) -> None:
    """Begin and size of every axis; a size of -1 is the rest."""
    begin, sizes = n.integers(1), n.integers(2)
    end = [_LAST if size < 0 else first + size for first, size in zip(begin, sizes, strict=True)]
    axes = n.number(range(len(begin)), "int64", "axes")
    n.keep(
        n.emit("Slice", n.stored(0), n.number(begin, "int64", "begin"), n.number(end, "int64", "end"), axes)
    )


@translates("REVERSE_V2")
def reverse(n: OperatorView) -> None:
    """Axes backwards."""
    axes = [n.axis(axis, len(n.shape(0))) for axis in n.integers(1)]
    numbers = ([-1] * len(axes), [_FIRST] * len(axes), axes, [-1] * len(axes))
    labels = ("begin", "end", "axes", "steps")
    operands = [n.number(row, "int64", label) for row, label in zip(numbers, labels, strict=True)]
    n.keep(n.emit("Slice", n.stored(0), *operands))


@dataclass
class _Ranges:
    """The ranges of a STRIDED_SLICE on existing axes, and those among them that disappear."""

    begin: list[int] = field(default_factory=list)
    end: list[int] = field(default_factory=list)
    step: list[int] = field(default_factory=list)
    axes: list[int] = field(default_factory=list)


@translates("STRIDED_SLICE")
def strided_slice(n: OperatorView) -> None:
    """TensorFlow's x[a:b:c, ..., newaxis, i]; the five masks are bit sets over the entries of the ranges."""
    if n.option("Offset"):
        raise n.unsupported("its ends count from its begins", "convert without the option 'offset'")
    ranges = _ranges(n, len(n.shape(0)))
    labels = ("begin", "end", "axes", "steps")
    rows = (ranges.begin, ranges.end, ranges.axes, ranges.step)
    operands = [n.number(row, "int64", label) for row, label in zip(rows, labels, strict=True)]
    sliced = n.emit("Slice", n.stored(0), *operands)
    if n.option("ShrinkAxisMask") or n.option("NewAxisMask"):
        target = n.number(n.static(n.output()), "int64", "shape")
        sliced = n.emit("Reshape", sliced, target, step="Reshape", allowzero=1)
    n.keep(sliced)


def _ranges(n: OperatorView, rank: int) -> _Ranges:
    begin, end, step = (n.integers(index) for index in (1, 2, 3))
    if not len(begin) == len(end) == len(step) or 0 in step:
        raise n.malformed(f"ranges {list(begin)} to {list(end)} by {list(step)}")
    new, ellipsis, shrink = (n.option(f"{name}Mask") for name in ("NewAxis", "Ellipsis", "ShrinkAxis"))
    used = sum(1 for i in range(len(begin)) if not (new >> i & 1 or ellipsis >> i & 1))
    ranges, axis = _Ranges(), 0
    for i in range(len(begin)):
        if ellipsis >> i & 1:
            axis += rank - used
        elif not new >> i & 1:
            first, last = _bounds(n, i, begin[i], end[i], step[i], bool(shrink >> i & 1))
            ranges.begin.append(first)
            ranges.end.append(last)
            ranges.step.append(1 if shrink >> i & 1 else step[i])
            ranges.axes.append(n.axis(axis, rank))
            axis += 1
    return ranges


def _bounds(n: OperatorView, i: int, begin: int, end: int, step: int, single: bool) -> tuple[int, int]:
    if single:
        return begin, _LAST if begin == -1 else begin + 1
    if n.option("BeginMask") >> i & 1:
        begin = 0 if step > 0 else -1
    if n.option("EndMask") >> i & 1:
        end = _LAST if step > 0 else _FIRST
    return begin, end


@translates("PAD", "PADV2")
def pad(n: OperatorView) -> None:
    """With the integer that stands for zero, or with the value of the third input."""
    before, after = _paddings(n)
    value = n.stored(2) if n.kind == "PADV2" else padding_value(n)
    if n.kind == "PADV2" and n.shape(2):
        value = n.emit("Reshape", value, n.number([], "int64", "scalar"), step="Reshape")
    n.keep(n.emit("Pad", n.stored(0), n.number([*before, *after], "int64", "pads"), value))


@translates("MIRROR_PAD")
def mirror_pad(n: OperatorView) -> None:
    """REFLECT leaves out the border element, SYMMETRIC repeats it: a Gather along every padded axis."""
    before, after = _paddings(n)
    if n.option("Mode") == 0:
        pads = n.number([*before, *after], "int64", "pads")
        n.keep(n.emit("Pad", n.stored(0), pads, mode="reflect"))
        return
    value = n.stored(0)
    for axis, size in enumerate(n.shape(0)):
        if before[axis] > size or after[axis] > size:
            raise n.malformed(f"{before[axis]} and {after[axis]} around {size} elements")
        if before[axis] or after[axis]:
            order = np.pad(np.arange(size), (before[axis], after[axis]), mode="symmetric")
            value = n.emit(
                "Gather", value, n.number(order, "int64", f"order_{axis}"), step=f"{axis}", axis=axis
            )
    n.keep(value)


def _paddings(n: OperatorView) -> tuple[Shape, Shape]:
    """Elements before and after every axis."""
    table = n.constant(1)
    if table.shape != (len(n.shape(0)), 2) or (table < 0).any():
        raise n.malformed(f"paddings {table.tolist()} of {list(n.shape(0))}")
    return tuple(table[:, 0].tolist()), tuple(table[:, 1].tolist())
