from __future__ import annotations

import re

from edgecompile.kernels.intrinsics.sdot import Sdot
from tests.support.on_target import assembly, isa_of
from tests.support.tiles import check_tiles, random_tiles

# Rows, columns, runs and their length: single rows, tiles that fill the registers, tails of 4, 8 and 12.
_SHAPES = [(1, 4, 1, 4), (1, 32, 1, 20), (3, 12, 1, 16), (6, 16, 1, 44), (5, 8, 3, 24), (2, 4, 7, 8)]


def test_sums_are_exact_for_random_and_extreme_values() -> None:
    check_tiles("cortex-a76", random_tiles(Sdot(), _SHAPES, least_weight=-128))


def test_products_are_made_by_the_instruction() -> None:
    tile = random_tiles(Sdot(), [(6, 16, 1, 64)])[0]
    text = assembly(tile.call(), isa_of("cortex-a76"))
    # 4 words of 16 k by 4 vectors of columns by 6 rows, in however many copies of the loop's body.
    products = re.findall(r"sdot\tv\d+\.4s, v\d+\.16b, v\d+\.4b\[\d\]", text)
    assert products
    assert len(products) % 96 == 0


def test_tiles_that_fill_the_registers_do_not_spill() -> None:
    kernel = Sdot()
    assert kernel.registers(6, 16) <= 32 < kernel.registers(8, 16)
    tile = random_tiles(kernel, [(6, 16, 1, 64)])[0]
    text = assembly(tile.call(), isa_of("cortex-a76"))
    loop = text[text.index("sdot") : text.rindex("sdot")]
    assert "[sp" not in loop
