"""Orders and running totals along one axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tvm import tirx
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels.compute import Tensor, accumulator, element_type, shape_of
from edgecompile.kernels.loops import Buffer, each_alone, local, nest
from edgecompile.kernels.math import Expr, cast, const, is_float, is_nan, logical_not


def _without(extents: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*extents[:axis], 1, *extents[axis + 1 :])


def _at(index: tuple[Expr, ...], axis: int, position: Expr) -> tuple[Expr, ...]:
    return (*index[:axis], position, *index[axis + 1 :])


def top_k(data: Tensor, axis: int, count: int, largest: bool) -> list[Tensor]:
    """The `count` most extreme values along `axis` in order, and their places (int64); first places first.

    NaN counts as larger than any number. By insertion into the result: O(n * count), no memory.
    """
    extents, dtype = shape_of(data), element_type(data)
    shape = (*extents[:axis], count, *extents[axis + 1 :])

    def beats(a: Expr, b: Expr) -> Expr:
        if not is_float(dtype):
            return a > b if largest else a < b
        upper, lower = (a, b) if largest else (b, a)
        return tirx.Or(upper > lower, tirx.And(is_nan(upper), logical_not(is_nan(lower))))

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, (values, places) = reads[0], writes
        with each_alone(_without(extents, axis)) as index:
            free = local(1, "int32")

            def value_at(k: Expr) -> Expr:
                return values[_at(index, axis, k)]

            with T.serial(0, extents[axis]) as i:
                candidate = source[_at(index, axis, i)]
                free[0] = tirx.min(i, const(count, "int32"))
                last = tirx.max(free[0] - 1, const(0, "int32"))
                with T.While(_short_circuit(free[0] > 0, beats(candidate, value_at(last)))):
                    with T.If(free[0] < count), T.Then():
                        values[_at(index, axis, free[0])] = value_at(last)
                        places[_at(index, axis, free[0])] = places[_at(index, axis, last)]
                    free[0] = free[0] - 1
                with T.If(free[0] < count), T.Then():
                    values[_at(index, axis, free[0])] = candidate
                    places[_at(index, axis, free[0])] = cast(i, "int64")

    return nest("top_k", [data], [(shape, dtype), (shape, "int64")], body)


def _short_circuit(first: Expr, second: Expr) -> Expr:
    """`first` and `second`, the latter not computed when the former is false."""
    return tirx.if_then_else(first, second, const(False, "bool"))


def scan(
    data: Tensor,
    axis: int,
    combine: Callable[[Expr, Expr], Expr],
    neutral: int,
    exclusive: bool,
    reverse: bool,
) -> Tensor:
    """Running totals along `axis`; an exclusive one leaves out the element itself."""
    extents, dtype = shape_of(data), element_type(data)
    total_type = accumulator(dtype)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, result = reads[0], writes[0]
        with each_alone(_without(extents, axis)) as index:
            total = local(1, total_type)
            total[0] = const(neutral, total_type)
            with T.serial(0, extents[axis]) as k:
                place = _at(index, axis, extents[axis] - 1 - k if reverse else k)
                if exclusive:
                    result[place] = cast(total[0], dtype)
                total[0] = combine(total[0], cast(source[place], total_type))
                if not exclusive:
                    result[place] = cast(total[0], dtype)

    return nest("scan", [data], [(extents, dtype)], body)[0]
