"""MatMul, Gemm and Einsum."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import te, tirx

from edgecompile.kernels import compute_matmul
from edgecompile.kernels.compute import broadcast_index, element_type, shape_of
from edgecompile.kernels.intrinsics.select import float_kernel
from edgecompile.kernels.math import Expr, cast
from edgecompile.lower.planned import has_pairs, planned_matmul, planned_scaled_matmul
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("MatMul", kind=Kind.ANCHOR)
def matmul(n: NodeView) -> Tensor:
    """numpy.matmul."""
    out = n.outputs[0]
    planned = _planned(n, out.shape)
    if planned is not None:
        return planned
    return compute_matmul.matmul(n.input(0), n.input(1), out.shape, out.dtype)


@op("Gemm", kind=Kind.ANCHOR)
def gemm(n: NodeView) -> Tensor:
    """alpha * A' B' + beta * C."""
    out = n.outputs[0]
    product = _gemm_product(n, out.shape, out.dtype)
    addend, dtype = n.input(2) if n.has(2) else None, element_type(product)
    alpha, beta = (_factor(n.attr(name, 1.0), dtype) for name in ("alpha", "beta"))

    def element(row: Expr, column: Expr) -> Expr:
        value = product(row, column) if alpha is None else product(row, column) * alpha
        if addend is not None:
            term = cast(addend(*broadcast_index((row, column), shape_of(addend))), dtype)
            value = value + (term if beta is None else term * beta)
        return cast(value, out.dtype)

    return te.compute(out.shape, element, name="gemm_epilogue")


def _gemm_product(n: NodeView, shape: Sequence[int], dtype: str) -> Tensor:
    """A' B'. A constant B is packed for the kernel, or at least stored as [K, N]."""
    trans_a, trans_b = (bool(n.attr(name, 0)) for name in ("transA", "transB"))
    planned = None if trans_a else _planned(n, shape, trans_b)
    if planned is not None:
        return planned
    compact, values = n.compact(1), n.const(1)
    if values is None or (compact is not None and not compact.is_half):
        return compute_matmul.gemm(n.input(0), n.input(1), trans_a, trans_b, shape, dtype)
    b = n.rearranged(1, np.ascontiguousarray(values.T) if trans_b else values, "weights")
    return compute_matmul.gemm(n.input(0), b, trans_a, False, shape, dtype)


def _planned(n: NodeView, shape: Sequence[int], trans_b: bool = False) -> Tensor | None:
    """A B for matrices of floats with constant B, by a plan; None where there is none."""
    a, compact = n.input(0), n.compact(1)
    if element_type(a) != "float32" or len(a.shape) < 2:
        return None
    if compact is not None and not compact.is_half:
        blocks = None if trans_b else compact.in_blocks_of_rows()
        return planned_scaled_matmul(n, a, blocks, shape) if blocks and has_pairs(blocks) else None
    values = n.const(1)
    if values is None or values.ndim != 2 or min(values.shape) == 0:
        return None
    rows = values if trans_b else values.T
    return planned_matmul(n, a, rows, shape, float_kernel(n.isa), halves=compact is not None)


def _factor(value: float, dtype: str) -> Expr | None:
    """alpha or beta as a constant of the accumulator's type; None for 1."""
    return None if value == 1.0 else tirx.const(value if dtype.startswith("float") else int(value), dtype)


@op("Einsum", kind=Kind.ANCHOR)
def einsum(n: NodeView) -> Tensor:
    """Einsum in ONNX's notation, with '...' and the implicit (alphabetical) result."""
    tensors = [n.input(index) for index in range(len(n.inputs))]
    inputs, result = _parse_equation(n.attr("equation"), [len(t.shape) for t in tensors])
    extents: dict[str, int] = {}
    for tensor, labels in zip(tensors, inputs, strict=True):
        for label, extent in zip(labels, shape_of(tensor), strict=True):
            extents[label] = extent if extents.get(label, 1) == 1 else extents[label]
    out = n.outputs[0]
    return compute_matmul.einsum(list(zip(tensors, inputs, strict=True)), result, extents, out.dtype)


def _parse_equation(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Axis labels of the operands and of the result; the axes of '...' are labelled '0', '1', ..."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    wide = max(
        [r - len(t.replace("...", "")) for t, r in zip(terms, ranks, strict=True) if "..." in t], default=0
    )
    inputs = [_labels(t, r - len(t.replace("...", "")), wide) for t, r in zip(terms, ranks, strict=True)]
    if arrow:
        return inputs, _labels(right, wide, wide)
    letters = left.replace("...", "").replace(",", "")
    once = sorted(letter for letter in set(letters) if letters.count(letter) == 1)
    return inputs, [*_ellipsis(wide, wide), *once]


def _labels(term: str, hidden: int, wide: int) -> list[str]:
    before, dots, after = term.partition("...")
    return [*before, *(_ellipsis(hidden, wide) if dots else []), *after]


def _ellipsis(count: int, wide: int) -> list[str]:
    """Labels of the `count` last of `wide` broadcast axes (they are right-aligned)."""
    return [str(axis) for axis in range(wide - count, wide)]
