"""Elementwise operations alone, on numbers that networks seldom have."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.registers import ELEMENTWISE
from edgecompile.errors import UnsupportedError
from tests.support.ethos_u import Array, run_operation

WORDS = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=20)
GLOBAL, TRUNCATE, NATURAL = 1 << 8, 1 << 14, 2 << 14
WORD = 5


def _row(values: list[int], dtype: str = "<i4") -> Array:
    return np.array(values, np.int64).astype(dtype).reshape(1, 1, -1)


def _run(name: str, arrays: dict[str, Array], registers: dict[str, int], dtype: str = "<i4") -> list[int]:
    operation = "ELEMENTWISE", ELEMENTWISE.index(name)
    result = run_operation(operation, arrays, (arrays["IFM"].shape, dtype), **registers)
    return [int(number) for number in result.ravel()]


@given(WORDS)
def test_leading_zeros(values: list[int]) -> None:
    expected = [0 if value < 0 else 32 - value.bit_length() for value in values]
    assert _run("CLZ", {"IFM": _row(values)}, {}) == expected


@given(WORDS, st.integers(0, 31))
def test_shift_right(values: list[int], bits: int) -> None:
    arrays = {"IFM": _row(values), "IFM2": _row([bits])}
    halves_up = [floor(Fraction(value, 1 << bits) + Fraction(1, 2)) for value in values]
    towards_zero = [int(Fraction(value, 1 << bits)) for value in values]
    for mode, expected in ((NATURAL, halves_up), (TRUNCATE, towards_zero)):
        registers = {"IFM2_BROADCAST": 0b100, "OFM_PRECISION": WORD | mode}
        assert _run("SHR", arrays, registers) == expected


@given(WORDS, st.integers(-(2**31), 2**31 - 1))
def test_products_of_words_are_only_shifted(values: list[int], factor: int) -> None:
    """OFM_SCALE 2^30 with shift 31 is the high half of twice the product, whatever its multiplier."""
    arrays = {"IFM": _row(values), "IFM2": _row([factor])}
    expected = [floor(Fraction(value * factor, 1 << 31) + Fraction(1, 2)) for value in values]
    if max(map(abs, expected)) < 1 << 31:
        registers = {"OFM_PRECISION": WORD | GLOBAL, "IFM2_BROADCAST": 0b100, "OFM_SCALE": 31 << 32 | 1 << 30}
        assert _run("MUL", arrays, registers) == expected


@given(st.lists(st.integers(-128, 127), min_size=1, max_size=9), st.integers(-128, 127), st.booleans())
def test_a_number_in_a_register_and_the_order_of_operands(
    values: list[int], number: int, is_reversed: bool
) -> None:
    registers = {"OPA_SCALE": 1, "OPB_SCALE": 1, "OFM_PRECISION": 3 | GLOBAL}
    registers |= {"IFM2_BROADCAST": 0x80 | 0x40 * is_reversed, "IFM2_SCALAR": number & 0xFFFF}
    registers |= {"IFM2_PRECISION": 1, "IFM2_ZERO_POINT": 5, "IFM_ZERO_POINT": 0xFFFF, "OFM_ZERO_POINT": 7}
    found = _run("SUB", {"IFM": _row(values, "<i1")}, registers, "<i2")
    sign = -1 if is_reversed else 1
    assert found == [sign * ((value + 1) - (number - 5)) + 7 for value in values]


@pytest.mark.parametrize(
    ("name", "second", "registers", "message"),
    [
        ("SHL", 32, {}, r"EC4568\] a number overflows.*a shift is by 32 to 32 bits"),
        ("SHR", -1, {}, r"EC4568\] a number overflows.*a shift is by -1 to -1 bits"),
        ("SHL", 31, {}, r"EC4568\] a number overflows.*a result does not fit 32 bits"),
        ("ADD", 1, {"OFM_PRECISION": WORD | GLOBAL, "OFM_SCALE": 3}, r"EC4561\].*has multiplier 3"),
    ],
)
def test_errors(name: str, second: int, registers: dict[str, int], message: str) -> None:
    arrays = {"IFM": _row([4, -4]), "IFM2": _row([second])}
    with pytest.raises(UnsupportedError, match=message):
        _run(name, arrays, registers | {"IFM2_BROADCAST": 0b100})


def test_no_table_makes_words_of_bytes() -> None:
    registers = {"ACTIVATION": 16 | 3 << 12, "IFM2_BROADCAST": 0b100, "OPA_SCALE": 1, "OPB_SCALE": 1}
    arrays = {"IFM": _row([1], "<i1"), "IFM2": _row([1], "<i1")}
    with pytest.raises(UnsupportedError, match=r"EC4561\].*no table has 16-bit entries for 8-bit values"):
        _run("ADD", arrays, registers, "<i2")
