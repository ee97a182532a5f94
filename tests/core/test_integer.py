from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.integer import OPERATORS, ROUNDINGS, Multiplier, decompose


@given(st.floats(2.0**-31, 2.0**29))
def test_decomposition_is_normalised_and_nearest(factor: float) -> None:
    q, shift = decompose(factor)
    assert 2**30 <= q < 2**31
    unit = Fraction(2) ** -(31 + shift)
    assert abs(Fraction(factor) - q * unit) <= unit / 2


@pytest.mark.parametrize(
    ("factor", "pair"),
    [
        (1.0, (1 << 30, -1)),
        (0.5, (1 << 30, 0)),
        (0.25, (1 << 30, 1)),
        # rounds up to 2^31, which is 2^30 of the next shift
        (math.nextafter(1.0, 0.0), (1 << 30, -1)),
        (0.0, (0, 0)),
        (2.0**-40, (0, 0)),
        (2.0**40, ((1 << 31) - 1, -30)),
    ],
)
def test_decomposition_at_the_borders(factor: float, pair: tuple[int, int]) -> None:
    assert decompose(factor) == pair


def test_multiplier_of_each_mode() -> None:
    single = Multiplier.of([0.75, 0.25], "single")
    assert single.multiplier.dtype == np.int32
    assert single.multiplier.tolist() == [3 << 29, 1 << 30]
    assert single.shift is not None
    assert single.shift.tolist() == [0, 1]
    real = Multiplier.of([0.75], "float")
    assert real.multiplier.dtype == np.float32
    assert real.shift is None


def test_operators_are_described() -> None:
    assert set(ROUNDINGS) == {"single", "double", "float"}
    for name, operator in OPERATORS.items():
        if name.endswith("Nhwc"):
            assert operator == OPERATORS[name.removesuffix("Nhwc")]
        assert "x" in operator.inputs or operator.inputs[:2] == ("a", "b")
