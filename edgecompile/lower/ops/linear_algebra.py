"""Determinants."""

from __future__ import annotations

from tvm import tirx, topi
from tvm.script.ir_builder import tirx as T

from edgecompile.kernels import math
from edgecompile.kernels.compute import Tensor, accumulator, element_type, shape_of
from edgecompile.kernels.loops import Buffer, each, local, nest
from edgecompile.kernels.math import Expr, cast, const, select
from edgecompile.lower.registry import Kind, NodeView, op


@op("Det", kind=Kind.OPAQUE)
def det(n: NodeView) -> Tensor:
    """Determinants of the matrices in the last two axes, by elimination with row pivots."""
    data = n.input(0)
    *batch, size, _ = shape_of(data)
    dtype = element_type(data)
    total = accumulator(dtype)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        work = T.buffer_proxy(T.alloc_buffer((size, size), total))
        with each(tuple(batch) or (1,)) as index:
            matrix = index if batch else ()
            with each((size, size)) as (i, j):
                work[i, j] = cast(reads[0][(*matrix, i, j)], total)
            writes[0][index] = cast(_eliminate(work, size, total), dtype)

    result = nest("det", [data], [(tuple(batch) or (1,), dtype)], body)[0]
    return topi.reshape(result, n.outputs[0].shape)


def _eliminate(work: Buffer, size: int, dtype: str) -> Expr:
    """Bring the matrix to upper triangular form; returns its determinant, the product of the diagonal."""
    product, factor, pivot = local(1, dtype), local(1, dtype), local(1, "int32")
    product[0] = const(1, dtype)
    with T.serial(0, size) as k:
        pivot[0] = k
        with T.serial(k + 1, size) as i:
            is_larger = math.absolute(work[i, k]) > math.absolute(work[pivot[0], k])
            pivot[0] = select(is_larger, i, pivot[0])
        product[0] = product[0] * work[pivot[0], k]
        with T.If(tirx.NE(pivot[0], k)), T.Then():
            product[0] = product[0] * const(-1, dtype)
            with T.serial(0, size) as j:
                factor[0] = work[k, j]
                work[k, j] = work[pivot[0], j]
                work[pivot[0], j] = factor[0]
        with T.If(math.absolute(work[k, k]) > const(0, dtype)), T.Then(), T.serial(k + 1, size) as i:
            factor[0] = work[i, k] / work[k, k]
            with T.serial(k, size) as j:
                work[i, j] = work[i, j] - factor[0] * work[k, j]
    return product[0]
