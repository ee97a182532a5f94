from __future__ import annotations

import pytest

from edgecompile.kernels.intrinsics.select import integer_kernel
from edgecompile.kernels.intrinsics.smlal import Smlal
from tests.support.on_target import assembly, isa_of
from tests.support.tiles import check_tiles, random_tiles

_SHAPES = [(1, 4, 1, 3), (5, 8, 1, 26), (4, 4, 3, 6), (4, 8, 1, 64)]


def test_sums_are_exact_for_random_and_extreme_values() -> None:
    check_tiles("cortex-a72", random_tiles(Smlal(), _SHAPES, least_weight=-128, wide=True))


def test_products_are_by_element_and_in_registers() -> None:
    text = assembly(random_tiles(Smlal(), [(8, 8, 1, 64)], wide=True)[0].call(), isa_of("cortex-a76"))
    loop = text[text.index("smlal") : text.rindex("smlal")]
    assert loop.count(".h[") == loop.count("smlal") >= 8 * 2 * 4 - 1
    assert "[sp" not in loop


@pytest.mark.parametrize("target", ["cortex-a53", "cortex-a76", "cortex-a715"])
def test_16_bits_are_its_data(target: str) -> None:
    assert integer_kernel(isa_of(target), "int16", -127, rows=100).name == "smlal"
    assert integer_kernel(isa_of(target), "int8", -127, rows=100).name != "smlal"
