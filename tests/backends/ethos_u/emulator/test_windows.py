"""Convolutions and pools that the NPU cannot do."""

from __future__ import annotations

import numpy as np
import pytest

from edgecompile.backends.ethos_u.emulator.registers import POOLINGS
from edgecompile.errors import UnsupportedError
from tests.support.ethos_u import run_operation

SUM, AVERAGE = POOLINGS.index("REDUCE_SUM"), POOLINGS.index("AVERAGE")


def test_a_sum_over_channels() -> None:
    x = np.arange(-10, 14, dtype=np.int8).reshape(2, 3, 4)
    found = run_operation(
        ("POOL", SUM), {"IFM": x}, ((2, 3, 1), "<i4"), IFM_ZERO_POINT=3, OFM_PRECISION=5 | 1 << 8
    )
    np.testing.assert_array_equal(found, (x.astype(int) - 3).sum(2, keepdims=True))


def test_sums_that_overflow() -> None:
    x = np.full((1, 1, 3), 2**30, np.int32)
    with pytest.raises(
        UnsupportedError, match=r"EC4568\] a number overflows.*a sum of 32 bits reaches 3221225472"
    ):
        run_operation(("POOL", SUM), {"IFM": x}, ((1, 1, 1), "<i4"))


@pytest.mark.parametrize("operation", [("POOL", AVERAGE), ("DEPTHWISE", 0)])
def test_a_depth_that_changes(operation: tuple[str, int]) -> None:
    x = np.zeros((1, 1, 3), np.int8)
    with pytest.raises(UnsupportedError, match=r"EC4561\].*there are 3 input and 2 output channels"):
        run_operation(operation, {"IFM": x}, ((1, 1, 2), "<i1"))


def test_an_average_with_padding_has_no_scale() -> None:
    x = np.zeros((1, 1, 3), np.int8)
    registers = {"IFM_PAD_TOP": 1, "KERNEL_HEIGHT_M1": 1, "OFM_SCALE": 2, "OFM_PRECISION": 1 | 1 << 8}
    with pytest.raises(UnsupportedError, match=r"EC4561\].*an average with padding has a scale of its own"):
        run_operation(("POOL", AVERAGE), {"IFM": x}, ((1, 1, 3), "<i1"), **registers)
