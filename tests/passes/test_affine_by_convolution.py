"""Quantized affine functions of one element become convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecompile.passes.affine_by_convolution import AffineByConvolution
from tests.support.operators import normal
from tests.support.passes import kinds, proven, unchanged
from tests.support.quantized import Array, one_operator

X = normal(1, 4, 5, 6) * 3
HALF = np.asarray(0.37, np.float32)
REWRITTEN: dict[str, tuple[str, list[Array], list[int], dict[str, Any]]] = {
    "hard sigmoid": ("HardSigmoid", [X], [], {"alpha": 0.3, "beta": 0.4}),
    "negation": ("Neg", [X], [], {}),
    "sum": ("Add", [X, HALF], [1], {}),
    "difference": ("Sub", [X, HALF], [1], {}),
    "difference from a number": ("Sub", [HALF, X], [0], {}),
    "product": ("Mul", [X, HALF], [1], {}),
    "quotient": ("Div", [X, HALF], [1], {}),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_becomes_a_convolution(name: str) -> None:
    op_type, inputs, constants, attributes = REWRITTEN[name]
    before = one_operator(op_type, inputs, "int8", constants=constants, **attributes)
    after = kinds(proven(AffineByConvolution(), before).model)
    assert op_type not in after
    assert sum(kind.startswith("Conv") for kind in after) == 1


@pytest.mark.parametrize("name", ["rows", "a vector", "a number by the tensor"])
def test_is_kept(name: str) -> None:
    networks = {
        "rows": lambda: one_operator("HardSigmoid", [normal(4, 6)]),
        "a vector": lambda: one_operator("Mul", [X, normal(6)], constants=[1]),
        "a number by the tensor": lambda: one_operator("Div", [HALF, X], constants=[0]),
    }
    unchanged(AffineByConvolution(), networks[name]())
