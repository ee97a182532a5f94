from __future__ import annotations

import pytest

from edgecompile.kernels.intrinsics.select import integer_kernel
from edgecompile.kernels.intrinsics.smull import Smull
from tests.support.on_target import assembly, isa_of
from tests.support.tiles import check_tiles, random_tiles

_SHAPES = [(1, 4, 1, 16), (1, 16, 1, 48), (5, 4, 1, 32), (2, 8, 3, 16), (3, 12, 1, 16)]


def test_sums_are_exact_for_random_and_extreme_values() -> None:
    check_tiles("cortex-a72", random_tiles(Smull(), _SHAPES))


def test_any_weight_is_exact_for_minus_128() -> None:
    check_tiles("cortex-a72", random_tiles(Smull(any_weight=True), _SHAPES, least_weight=-128))


def test_two_products_are_added_before_they_are_widened() -> None:
    tile = random_tiles(Smull(), [(5, 4, 1, 64)])[0]
    text = assembly(tile.call(), isa_of("cortex-a72"))
    assert text.count("smull\tv") == text.count("smlal2\tv") == text.count("sadalp\tv") > 0
    assert text.count("sadalp\tv") % 20 == 0
    loop = text[text.index("smull") : text.rindex("sadalp")]
    assert "[sp" not in loop


@pytest.mark.parametrize(("least", "name"), [(-127, "smull"), (-128, "smull_any")])
def test_the_weights_decide_which_is_taken(least: int, name: str) -> None:
    assert integer_kernel(isa_of("cortex-a72"), "int8", least, rows=100).name == name
