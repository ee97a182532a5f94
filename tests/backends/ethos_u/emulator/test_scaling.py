"""Scaling rounds as specified, and scale records are read whole."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.fault import Fault
from edgecompile.backends.ethos_u.emulator.memory import Memory, Region
from edgecompile.backends.ethos_u.emulator.pooling import reciprocal
from edgecompile.backends.ethos_u.emulator.scaling import Scale, channel_scales, rescale
from edgecompile.backends.ethos_u.emulator.state import Registers

VALUES = st.integers(-(2**30), 2**30)


def _half_up(value: Fraction) -> int:
    return math.floor(value + Fraction(1, 2))


def _half_away(value: Fraction) -> int:
    return _half_up(value) if value >= 0 else -_half_up(-value)


def _exact(product: int, shift: int, rounding: str) -> int:
    real = Fraction(product, 1 << shift)
    if rounding == "truncate":
        return math.trunc(real)
    if rounding == "natural" or shift <= 31:
        return _half_up(real)
    return _half_away(Fraction(_half_up(Fraction(product, 1 << 31)), 1 << (shift - 31)))


@given(
    value=VALUES,
    multiplier=st.integers(0, 2**31 - 1),
    shift=st.integers(0, 62),
    rounding=st.sampled_from(["double", "truncate", "natural"]),
)
def test_rounding(value: int, multiplier: int, shift: int, rounding: str) -> None:
    scale = Scale(np.int64(multiplier), np.int64(shift))
    expected = _exact(value * multiplier, shift, rounding)
    assert rescale(np.array([value]), scale, rounding).tolist() == [expected]


def test_overflow() -> None:
    with pytest.raises(Fault, match="a scaled sum can reach"):
        rescale(np.array([1 << 40]), Scale(np.int64(1 << 30), np.int64(0)), "double")


@given(st.integers(1, 4096), st.integers(-(2**20), 2**20))
def test_the_reciprocal_divides_with_halves_away_from_zero(count: int, total: int) -> None:
    total = max(-128 * count, min(127 * count, total))
    (result,) = rescale(np.array([total]), reciprocal(count), "natural")
    assert result == _half_away(Fraction(total, count))


@pytest.mark.parametrize("cores", [1, 2])
def test_records(cores: int) -> None:
    rng = np.random.default_rng(cores)
    bias = rng.integers(-(2**39), 2**39, 7)
    multiplier, shift = rng.integers(0, 2**32, 7), rng.integers(0, 64, 7)
    records = [
        int(b).to_bytes(5, "little", signed=True) + int(m).to_bytes(4, "little") + bytes([s])
        for b, m, s in zip(bias, multiplier, shift, strict=True)
    ]
    streams = [b"".join(records[core::cores]) for core in range(cores)]
    memory = Memory({0: Region.constant(streams[0].ljust(80, b"\0") + (streams[1] if cores > 1 else b""))})
    registers = Registers(SCALE_REGION=0, SCALE_BASE=0, SCALE_LENGTH=70, SCALE1_BASE=80, SCALE1_LENGTH=30)
    found = channel_scales(memory, registers, 7, cores)
    np.testing.assert_array_equal(found.bias, bias)
    np.testing.assert_array_equal(found.multiplier, multiplier)
    np.testing.assert_array_equal(found.shift, shift)
    with pytest.raises(Fault, match="there are too few scales"):
        channel_scales(memory, registers, 20, cores)
