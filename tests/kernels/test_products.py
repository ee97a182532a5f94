from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa, find_target
from edgecompile.kernels.loops import Buffer, lane_loop, local, nest, span
from edgecompile.kernels.math import Expr
from edgecompile.kernels.products import Matrix, Panels, multiply_rows, product_kernel
from edgecompile.lower.codegen import resolve_native
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal

HOST = resolve_native(find_target("host").isa)
SCALAR = replace(HOST, vector_bits=0)


def product(isa: Isa, rows: int, left: Array, right: Array, tile: int, how: str) -> Array:
    """left @ right in tiles of `rows` x `tile` vectors; right is packed by rows or columns, or not."""
    (count, depth), columns, dtype = left.shape, right.shape[1], str(left.dtype)
    kernel = product_kernel(isa, dtype)
    panels = Panels(depth, columns, tile * kernel.lanes, kernel.lanes)

    def matrix(b: Buffer) -> Matrix:
        if how == "constant":
            return panels.matrix(b)
        if how == "in place":
            return Matrix.in_place(depth, columns, panels.tile, lambda k, j, lanes: b[k, span(j, lanes)])
        packed = local(panels.elements, dtype)
        with T.serial(0, depth if how == "rows" else columns) as i:
            if how == "rows":
                panels.pack_row(packed, i, lambda column: b[i, column])
            else:
                panels.pack_column(packed, i, lambda k: b[k, i])
        panels.clear_padding(packed)
        return panels.matrix(packed)

    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        def store(row: Expr, column: Expr, lanes: int, total: Expr) -> None:
            with lane_loop(lanes) as lane:
                writes[0][row, column + lane] = total(lane)

        a, b = reads
        multiply_rows(kernel, rows, count, lambda r, k, lanes: a[r, span(k, lanes)], matrix(b), store)

    given = panels.packed(right) if how == "constant" else right
    shape = (count, columns)
    return compute(lambda *inputs: nest("product", list(inputs), [(shape, dtype)], body), left, given)[0]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 7),
    st.integers(1, 70),
    st.integers(1, 4),
    st.integers(1, 3),
    st.booleans(),
)
def test_products_of_all_extents(
    count: int, depth: int, columns: int, rows: int, tile: int, vectors: bool
) -> None:
    left, right = normal(count, depth), normal(depth, columns, seed=1)
    isa = HOST if vectors else SCALAR
    for how in ("constant", "rows", "columns"):
        assert_close(product(isa, rows, left, right, tile, how), left @ right)


@pytest.mark.parametrize("isa", [HOST, SCALAR], ids=["vectors", "scalar"])
def test_a_matrix_of_whole_vectors_is_read_in_place(isa: Isa) -> None:
    left, right = normal(5, 6), normal(6, 48, seed=1)
    assert_close(product(isa, 2, left, right, 2, "in place"), left @ right)


def test_double_precision() -> None:
    left, right = (np.asarray(normal(*shape), np.float64) for shape in ((3, 5), (5, 11)))
    np.testing.assert_allclose(product(HOST, 2, left, right, 1, "rows"), left @ right, rtol=1e-14)
