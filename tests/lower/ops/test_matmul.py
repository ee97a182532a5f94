from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.operators import check_node, normal

SLOW = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(
    st.integers(1, 13),
    st.integers(1, 9),
    st.integers(1, 40),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from((None, (), (1,), "columns", "rows", "whole")),
    st.sampled_from((1.0, 0.5, -2.0)),
    st.sampled_from((1.0, 0.25)),
)
def test_gemm(
    rows: int,
    depth: int,
    columns: int,
    trans_a: bool,
    trans_b: bool,
    constant: bool,
    addend: tuple[int, ...] | str | None,
    alpha: float,
    beta: float,
) -> None:
    a, b = normal(rows, depth), normal(depth, columns, seed=1)
    named = {"columns": (columns,), "rows": (rows, 1), "whole": (rows, columns)}
    shape = named[addend] if isinstance(addend, str) else addend
    c = None if shape is None else normal(*shape, seed=2).reshape(shape)
    inputs = [a.T.copy() if trans_a else a, b.T.copy() if trans_b else b, c]
    fixed = [i for i in (1, 2) if inputs[i] is not None] if constant else []
    attributes: dict[str, Any] = {
        "transA": int(trans_a),
        "transB": int(trans_b),
        "alpha": alpha,
        "beta": beta,
    }
    check_node("Gemm", inputs, constants=fixed, **attributes)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((5, 7), (7, 24)),
        ((7,), (7, 3)),
        ((5, 7), (7,)),
        ((7,), (7,)),
        ((2, 1, 5, 7), (3, 7, 4)),
        ((1, 7), (2, 7, 16)),
    ],
)
@pytest.mark.parametrize("constants", [(), (1,), (0,)])
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_matmul_broadcasts_like_numpy(
    left: tuple[int, ...], right: tuple[int, ...], constants: tuple[int, ...], emit: str
) -> None:
    check_node("MatMul", [normal(*left), normal(*right, seed=1)], constants=constants, emit=emit)


@pytest.mark.parametrize("dtype", ["int32", "int64", "float64"])
def test_matmul_of_other_types(dtype: str) -> None:
    inputs = [(normal(4, 5, seed=i) * 10).astype(dtype) for i in range(2)]
    check_node("MatMul", [inputs[0], inputs[1].T.copy()])


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(3, 4), (4, 5)]),
        ("ij,jk", [(3, 4), (4, 5)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (6, 4, 5)]),
        ("ii->i", [(4, 4)]),
        ("ij->", [(3, 4)]),
        ("ij->ji", [(3, 4)]),
        ("i,j->ij", [(3,), (4,)]),
        ("bhwc,hkc->bhwk", [(2, 3, 4, 5), (3, 6, 5)]),
        (" a b , b c -> a c ", [(2, 3), (3, 4)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 5)]),
        ("b...->...", [(2, 3, 4)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    inputs = [normal(*s, seed=i) for i, s in enumerate(shapes)]
    check_node("Einsum", inputs, reference="onnx", equation=equation)


def test_an_empty_contraction_is_zero() -> None:
    inputs = [np.zeros((3, 0), "float32"), np.zeros((0, 4), "float32")]
    check_node("MatMul", inputs)
