from __future__ import annotations

import pytest

from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.machine import Machine
from tests.support.on_target import isa_of
from tests.support.tiles import check_tiles, random_tiles


@pytest.mark.parametrize("target", ["host", "cortex-a72"])
@pytest.mark.parametrize("data", ["int8", "uint8"])
def test_sums_of_bytes_are_exact_for_random_and_extreme_values(target: str, data: str) -> None:
    kernel = MultiplyAdd(Machine.of(isa_of(target)), data=data, accumulator="int32")
    lanes = kernel.lanes
    shapes = [(1, lanes, 1, 1), (3, 2 * lanes, 1, 7), (2, lanes, 3, 5)]
    check_tiles(target, random_tiles(kernel, shapes, least_weight=-128))
