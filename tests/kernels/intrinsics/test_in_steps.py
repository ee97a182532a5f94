from __future__ import annotations

import numpy as np
import pytest

from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.in_steps import STEP, InSteps
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.intrinsics.select import find_kernel
from edgecompile.kernels.intrinsics.smlal import Smlal
from edgecompile.kernels.machine import Machine
from tests.support.on_target import isa_of
from tests.support.tiles import check_tiles, random_tiles


def test_a_step_of_extremes_fits_32_bits() -> None:
    assert STEP * 32768 * 128 < 1 << 31
    assert STEP % 16 == 0


@pytest.mark.parametrize("target", ["host", "cortex-a76"])
def test_sums_beyond_32_bits_are_exact(target: str) -> None:
    plain = MultiplyAdd(Machine.of(isa_of(target)), data="int16", accumulator="int32")
    inner: list[MicroKernel] = [plain, Smlal()] if target == "cortex-a76" else [plain]
    for kernel in map(InSteps, inner):
        shapes = [(1, kernel.lanes, 1, 2000), (3, 2 * kernel.lanes, 4, 600), (2, kernel.lanes, 2, STEP)]
        tiles = random_tiles(kernel, shapes, least_weight=-128, wide=True)
        assert any(np.abs(tile.expected).max() > 1 << 31 for tile in tiles)
        check_tiles(target, tiles)


def test_a_plan_finds_it_by_name() -> None:
    found = find_kernel("in_steps_smlal", isa_of("cortex-a76"))
    assert (found.name, found.accumulator) == ("in_steps_smlal", "int64")
    assert found == InSteps(Smlal())
