"""Tables of the fixed-point routines: close to the functions, and of no others."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.integer.fixed_point_tables import fixed_point_table
from edgecompile.passes.integer.quantized import Quantized

SCALES = st.floats(0.005, 0.3)
ZEROS = st.integers(-128, 127)
FUNCTIONS: dict[str, Any] = {
    "Abs": np.abs,
    "HardSwish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "LeakyRelu": lambda x: np.where(x < 0, 0.25 * x, x),
}


def _node(kind: str) -> ir.Node:
    attributes = {"alpha": 0.25} if kind == "LeakyRelu" else {}
    return ir.node(kind, [ir.Value(name="x")], attributes)


def _quantized(scale: float, zero: int) -> Quantized:
    return Quantized(ir.Value(name="q"), scale, zero, np.dtype(np.int8))


@pytest.mark.parametrize("kind", FUNCTIONS)
@given(x_scale=SCALES, x_zero=ZEROS, y_scale=SCALES, y_zero=ZEROS)
def test_close_to_the_function(kind: str, x_scale: float, x_zero: int, y_scale: float, y_zero: int) -> None:
    x, y = _quantized(x_scale, x_zero), _quantized(y_scale, y_zero)
    table = fixed_point_table(_node(kind), x, y)
    assert table is not None
    assert table.dtype == np.int8
    real = (np.arange(-128, 128) - x_zero) * x_scale
    exact = np.clip(FUNCTIONS[kind](real) / y_scale + y_zero, -128, 127)
    # Sixteen bits are few where one step of the input is many steps of the output.
    assert np.abs(table - exact).max() <= 1 + 0.02 * x_scale / y_scale


def test_two_roundings_are_kept() -> None:
    """91 · 0.24595 = 22.38; its quarter-steps are rounded first, to 22.5, and that to 23."""
    table = fixed_point_table(_node("Abs"), _quantized(0.0425091013, -24), _quantized(0.1728355438, 71))
    assert table is not None
    assert table[-115 + 128] == 71 + 23


def test_other_functions_have_none() -> None:
    assert fixed_point_table(_node("Sigmoid"), _quantized(0.1, 0), _quantized(0.1, 0)) is None
