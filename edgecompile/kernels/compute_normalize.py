"""Normalizations: a box of elements is shifted and scaled by its own statistics, box by box.

Statistics are computed in two passes, as ONNX defines them: the mean first, then the mean of the squared
distances from it. (One pass would cancel where the mean is large.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tvm import te, tirx

from edgecompile.kernels.compute import Layout, Tensor, accumulator, element_type, shape_of
from edgecompile.kernels.loops import Buffer, Row, RowLoops, local, nest
from edgecompile.kernels.math import Expr, absolute, cast, const, dtype_of, let, power, select, sqrt

Index = tuple[Expr, ...]


@dataclass(frozen=True)
class Boxes:
    """Disjoint boxes of a tensor: `kept` loops over boxes, `reduced` over the elements of one.

    `at(box, element)` is the index into the tensor; `vector` says that the innermost reduced axis is
    contiguous in memory.
    """

    kept: tuple[int, ...]
    reduced: tuple[int, ...]
    at: Callable[[Index, Index], Index]
    vector: bool

    @property
    def count(self) -> int:
        return math.prod(self.reduced)

    @staticmethod
    def along(shape: Sequence[int], axis: int) -> Boxes:
        """Rows along one axis."""
        kept = (*shape[:axis], *shape[axis + 1 :])
        return Boxes(kept, (shape[axis],), lambda b, e: (*b[:axis], *e, *b[axis:]), axis == len(shape) - 1)

    @staticmethod
    def trailing(shape: Sequence[int], axis: int) -> Boxes:
        """All axes from `axis` on."""
        return Boxes(tuple(shape[:axis]), tuple(shape[axis:]), lambda b, e: (*b, *e), True)

    @staticmethod
    def groups(shape: Sequence[int], count: int, layout: Layout) -> Boxes:
        """The elements of one sample in one of `count` groups of neighbouring channels."""
        batch, spatial, channels = layout.split(shape)
        size = channels // count
        if layout.channels_last:
            return Boxes(
                (batch, count), (*spatial, size), lambda b, e: (b[0], *e[:-1], b[1] * size + e[-1]), True
            )
        return Boxes((batch, count), (size, *spatial), lambda b, e: (b[0], b[1] * size + e[0], *e[1:]), True)

    def each_element(self, row: Row, box: Index, body: Callable[[Index, Expr], None]) -> None:
        """Emit `body(index, lane)` for all elements of `box`."""
        row.each_in(self.reduced, lambda element, lane: body(self.at(box, element), lane))

    def sum(self, row: Row, box: Index, total: str, term: Callable[[Index], Expr]) -> Expr:
        """The sum of `term(index)` over `box`, of type `total`."""
        partial = local(row.lanes, total)
        row.fill(partial, const(0, total))

        def step(index: Index, lane: Expr) -> None:
            partial[lane] = partial[lane] + term(index)

        self.each_element(row, box, step)
        return row.finish(partial, lambda a, b: a + b)


# Combines parameter buffers, the index and the normalized element into the result.
Finish = Callable[[list[Buffer], Index, Expr], Expr]


@dataclass(frozen=True)
class Statistics:
    """Which of "mean" and "inverse" (standard deviation) become results of their own, and their shape."""

    names: tuple[str, ...] = ()
    shape: tuple[int, ...] = ()


def standardize(
    data: Tensor,
    parameters: Sequence[Tensor],
    boxes: Boxes,
    epsilon: float,
    finish: Finish,
    rows: RowLoops,
    centred: bool = True,
    wanted: Statistics = Statistics(),
) -> list[Tensor]:
    """(x - mean) / sqrt(variance + epsilon) in each box, then `finish`; further results as `wanted`.

    Without `centred` the mean is taken to be 0: x / sqrt(mean of squares + epsilon).
    """
    shape, dtype = shape_of(data), element_type(data)
    total = accumulator(dtype)
    count = const(boxes.count, total)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        with rows.each(boxes.kept, boxes.count) as (box, make_row):
            row = make_row(boxes.reduced[-1], boxes.vector)
            numbers = {"mean": local(1, total), "inverse": local(1, total)}
            mean, inverse = numbers["mean"], numbers["inverse"]

            def centre(index: Index) -> Expr:
                value = cast(reads[0][index], total)
                return value - mean[0] if centred else value

            def write(index: Index, _: Expr) -> None:
                writes[0][index] = cast(finish(reads[1:], index, centre(index) * inverse[0]), dtype)

            if centred:
                mean[0] = boxes.sum(row, box, total, lambda i: cast(reads[0][i], total)) / count
            squares = boxes.sum(row, box, total, lambda i: let(centre(i), lambda d: d * d))
            inverse[0] = const(1, total) / sqrt(squares / count + const(epsilon, total))
            for name, buffer in zip(wanted.names, writes[1:], strict=True):
                buffer[(*box, *[0] * (len(wanted.shape) - len(box)))] = numbers[name][0]
            boxes.each_element(row, box, write)

    results = [(shape, dtype), *[(wanted.shape, total)] * len(wanted.names)]
    return nest("standardize", [data, *parameters], results, body)


def lp_normalize(data: Tensor, boxes: Boxes, p: int, rows: RowLoops) -> Tensor:
    """x / (p-norm of its box), p being 1 or 2; 0 where the norm is 0."""
    shape, dtype = shape_of(data), element_type(data)
    total = accumulator(dtype)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        def term(index: Index) -> Expr:
            return let(cast(reads[0][index], total), lambda x: absolute(x) if p == 1 else x * x)

        with rows.each(boxes.kept, boxes.count) as (box, make_row):
            row, norm = make_row(boxes.reduced[-1], boxes.vector), local(1, total)

            def write(index: Index, _: Expr) -> None:
                writes[0][index] = cast(cast(reads[0][index], total) / norm[0], dtype)

            summed = boxes.sum(row, box, total, term)
            norm[0] = summed if p == 1 else sqrt(summed)
            # All elements of the box are 0 then, and 0 / 1 is what is asked for.
            norm[0] = select(norm[0] > const(0, total), norm[0], const(1, total))
            boxes.each_element(row, box, write)

    return nest("lp_normalize", [data], [(shape, dtype)], body)[0]


def batch_normalize(
    data: Tensor, scale: Callable[[Expr], Expr], shift: Callable[[Expr], Expr], layout: Layout
) -> Tensor:
    """x * scale(channel) + shift(channel)."""
    dtype = element_type(data)

    def element(*index: Expr) -> Expr:
        channel = layout.split(index)[2]
        value = cast(data(*index), accumulator(dtype))
        return cast(value * scale(channel) + shift(channel), dtype)

    return te.compute(data.shape, element, name="batch_normalize")


def local_response_normalize(
    data: Tensor, size: int, alpha: float, beta: float, bias: float, layout: Layout
) -> Tensor:
    """x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta."""
    dtype, (_, _, channels) = element_type(data), layout.split(shape_of(data))
    total = accumulator(dtype)
    step = te.reduce_axis((0, size), "c")
    before = (size - 1) // 2

    def squares(*index: Expr) -> Expr:
        batch, spatial, channel = layout.split(index)
        at = channel - before + step
        value = cast(data(*layout.join(batch, spatial, at)), total)
        inside = tirx.all(at >= 0, at < channels)
        return te.sum(tirx.if_then_else(inside, value * value, const(0, total)), axis=step)

    summed = te.compute(data.shape, squares, name="squares")

    def scaled(*index: Expr) -> Expr:
        base = const(bias, total) + summed(*index) * const(alpha / size, total)
        return cast(cast(data(*index), total) / let(base, lambda b: _power(b, beta)), dtype)

    return te.compute(data.shape, scaled, name="lrn")


def _power(base: Expr, exponent: float) -> Expr:
    """base^exponent for base >= 0; the usual exponent 0.75 by two square roots."""
    if exponent == 0.75:
        return let(sqrt(base), lambda root: root * sqrt(root))
    return power(base, const(exponent, dtype_of(base)))
