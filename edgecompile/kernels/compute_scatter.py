"""Writing at places that come from data: a copy of the data, then one update after the other."""

from __future__ import annotations

import operator
from collections.abc import Callable

from tvm import tirx

from edgecompile.kernels import math
from edgecompile.kernels.compute import Tensor, element_type, shape_of
from edgecompile.kernels.integers import wrapped_index, wrapping
from edgecompile.kernels.loops import Buffer, each, each_alone, nest
from edgecompile.kernels.math import Expr, cast, const

# Of the old element and the update; "none" replaces.
REDUCTIONS: dict[str, Callable[[Expr, Expr], Expr]] = {
    "none": lambda old, new: new,
    "add": wrapping(operator.add),
    "mul": wrapping(operator.mul),
    "max": math.maximum,
    "min": math.minimum,
}


def scatter_elements(data: Tensor, indices: Tensor, updates: Tensor, axis: int, reduction: str) -> Tensor:
    """data[..., indices[i], ...] combined with updates[i] for every place i of the updates."""
    extents, combine = shape_of(data), REDUCTIONS[reduction]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, chosen, update = reads
        result = writes[0]
        _copy(source, result, extents)
        with each(shape_of(indices)) as index:
            place = list(index)
            place[axis] = wrapped_index(chosen[index], extents[axis])
            result[tuple(place)] = combine(result[tuple(place)], update[index])

    return nest("scatter_elements", [data, indices, updates], [(extents, element_type(data))], body)[0]


def scatter_nd(data: Tensor, indices: Tensor, updates: Tensor, reduction: str) -> Tensor:
    """Slices of the data, at the coordinates in the last axis of the indices, combined with the updates."""
    extents, combine = shape_of(data), REDUCTIONS[reduction]
    outer, depth = shape_of(indices)[:-1], shape_of(indices)[-1]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        source, chosen, update = reads
        result = writes[0]
        _copy(source, result, extents)
        with each((*outer, *extents[depth:])) as index:
            where, inner = index[: len(outer)], index[len(outer) :]
            at = [wrapped_index(chosen[(*where, k)], extents[k]) for k in range(depth)]
            place = (*at, *inner)
            result[place] = combine(result[place], update[index])

    return nest("scatter_nd", [data, indices, updates], [(extents, element_type(data))], body)[0]


def tensor_scatter(cache: Tensor, update: Tensor, starts: Tensor | None, axis: int, circular: bool) -> Tensor:
    """The cache with update[b] written from starts[b] on along `axis`; circular wraps at the end."""
    extents, shape = shape_of(cache), shape_of(update)
    inputs = [cache, update] if starts is None else [cache, update, starts]

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        result = writes[0]
        _copy(reads[0], result, extents)
        with each(shape) as index:
            start = const(0, "int32") if starts is None else cast(reads[2][(index[0],)], "int32")
            at = start + index[axis]
            if circular:
                at = tirx.truncmod(at, const(extents[axis], "int32"))
            place = (*index[:axis], wrapped_index(at, extents[axis]), *index[axis + 1 :])
            result[place] = reads[1][index]

    return nest("tensor_scatter", inputs, [(extents, element_type(cache))], body)[0]


def _copy(source: Buffer, result: Buffer, extents: tuple[int, ...]) -> None:
    with each_alone(extents) as index:
        result[index] = source[index]
