"""The NumPy arithmetic against the same definitions in Python's integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.integer import Multiplier, decompose
from edgecompile.passes.quantize.arithmetic import divide_half_away, rescale, shift_half_away, shift_half_up

INT32 = st.integers(-(2**31), 2**31 - 1)
FACTORS = st.floats(2.0**-34, 2.0**12)


def half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def half_away(value: Fraction) -> int:
    magnitude = math.floor(abs(value) + Fraction(1, 2))
    return -magnitude if value < 0 else magnitude


def saturating_rounding_doubling_high_multiply(a: int, b: int) -> int:
    """As gemmlowp writes it: a nudge by the sign, then a division that truncates."""
    product = a * b
    nudge = (1 << 30) if product >= 0 else 1 - (1 << 30)
    return int(Fraction(product + nudge, 1 << 31)) if product + nudge >= 0 else -((-product - nudge) >> 31)


def rounding_divide_by_power(x: int, exponent: int) -> int:
    """As gemmlowp writes it: with the remainder and a threshold."""
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if (x & mask) > threshold else 0)


def one(total: int, factor: float, rounding: str) -> int:
    parts = Multiplier.of([factor], rounding)  # type: ignore[arg-type]
    return int(rescale(np.array([total]), parts.multiplier, parts.shift, rounding)[0])  # type: ignore[arg-type]


@given(INT32, FACTORS)
def test_single(total: int, factor: float) -> None:
    q, shift = decompose(factor)
    assert one(total, factor, "single") == half_up(Fraction(total * q) / Fraction(2) ** (31 + shift))


@given(INT32, FACTORS)
def test_double(total: int, factor: float) -> None:
    q, shift = decompose(factor)
    left, right = max(-shift, 0), max(shift, 0)
    shifted = min(max(total << left, -(2**31)), 2**31 - 1)
    high = saturating_rounding_doubling_high_multiply(shifted, q)
    assert one(total, factor, "double") == rounding_divide_by_power(high, right)


@given(INT32, FACTORS)
def test_float(total: int, factor: float) -> None:
    product = Fraction(float(np.float32(total))) * Fraction(float(np.float32(factor)))
    assert one(total, factor, "float") == round(float(np.float32(float(product))))


@given(INT32, st.integers(1, 62))
def test_shift_half_up(value: int, bits: int) -> None:
    assert shift_half_up(np.asarray(value, np.int64), np.asarray(bits)) == half_up(Fraction(value, 1 << bits))


@given(INT32, st.integers(0, 40))
def test_shift_half_away(value: int, bits: int) -> None:
    shifted = shift_half_away(np.asarray(value, np.int64), np.asarray(bits))
    assert shifted == half_away(Fraction(value, 1 << bits))


@given(INT32, st.integers(1, 10**6))
def test_divide_half_away(total: int, count: int) -> None:
    divided = divide_half_away(np.asarray(total, np.int64), np.asarray(count))
    assert divided == half_away(Fraction(total, count))


@given(st.integers(-(2**23), 2**23), st.floats(2.0**-20, 0.5))
def test_modes_differ_by_one_at_most(total: int, factor: float) -> None:
    results = [one(total, factor, mode) for mode in ("single", "double", "float")]
    assert max(results) - min(results) <= 1
