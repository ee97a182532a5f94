"""Matrix products and Einstein sums.

The right operand is read as B[..., k, n]: with n innermost in memory, one row of the result is computed
by contiguous loads of B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tvm import te

from edgecompile.kernels.compute import Tensor, accumulator, broadcast_index, cast_tensor, shape_of
from edgecompile.kernels.math import Expr, cast


def matmul(a: Tensor, b: Tensor, shape: Sequence[int], dtype: str) -> Tensor:
    """numpy.matmul into `shape`: batch axes broadcast; a vector is a row (left) or a column (right)."""
    total = accumulator(dtype)
    k = te.reduce_axis((0, shape_of(a)[-1]), "k")
    a_extents, b_extents = shape_of(a), shape_of(b)

    def element(*index: Expr) -> Expr:
        column, index = ((index[-1],), index[:-1]) if len(b_extents) > 1 else ((), index)
        row, batch = ((index[-1],), index[:-1]) if len(a_extents) > 1 else ((), index)
        left = a(*broadcast_index(batch, a_extents[:-2]), *row, k)
        right = b(*broadcast_index(batch, b_extents[:-2]), k, *column)
        return te.sum(cast(left, total) * cast(right, total), axis=k)

    return cast_tensor(te.compute(tuple(shape), element, name="matmul"), dtype)


def gemm(a: Tensor, b: Tensor, trans_a: bool, trans_b: bool, shape: Sequence[int], dtype: str) -> Tensor:
    """A' B' for matrices [M, K] and [K, N], each stored transposed where the flag says so."""
    total = accumulator(dtype)
    k = te.reduce_axis((0, shape_of(a)[0 if trans_a else 1]), "k")

    def element(row: Expr, column: Expr) -> Expr:
        left = a(k, row) if trans_a else a(row, k)
        right = b(column, k) if trans_b else b(k, column)
        return te.sum(cast(left, total) * cast(right, total), axis=k)

    return te.compute(tuple(shape), element, name="gemm")


def einsum(
    operands: Sequence[tuple[Tensor, Sequence[str]]],
    result: Sequence[str],
    extents: Mapping[str, int],
    dtype: str,
) -> Tensor:
    """Sum of products over labelled axes; a label that is not in `result` is summed.

    An operand axis of extent 1 is broadcast. A label may repeat within an operand (its diagonal).
    """
    total = accumulator(dtype)
    labels = [label for _, axes in operands for label in axes]
    summed = {
        label: te.reduce_axis((0, extents[label]), f"r{i}")
        for i, label in enumerate(dict.fromkeys(labels))
        if label not in result
    }

    def element(*index: Expr) -> Expr:
        at = dict(zip(result, index, strict=True)) | summed
        product = None
        for tensor, axes in operands:
            position = [0 if e == 1 else at[x] for e, x in zip(shape_of(tensor), axes, strict=True)]
            factor = cast(tensor(*position), total)
            product = factor if product is None else product * factor
        return te.sum(product, axis=list(summed.values())) if summed else product

    shape = tuple(extents[label] for label in result)
    return cast_tensor(te.compute(shape, element, name="einsum"), dtype)
