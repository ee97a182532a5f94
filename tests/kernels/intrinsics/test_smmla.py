from __future__ import annotations

from dataclasses import replace

from edgecompile.kernels.intrinsics.smmla import Smmla
from tests.support.integer_nodes import conv_node
from tests.support.on_target import assembly, isa_of, run_calls
from tests.support.tiles import check_tiles, random_tiles

# A lone last row is paired with itself; 8 k are left over after blocks of 16.
_SHAPES = [(1, 4, 1, 8), (2, 4, 1, 16), (3, 8, 1, 24), (4, 24, 1, 40), (5, 12, 3, 16), (4, 16, 5, 8)]


def test_sums_are_exact_for_random_and_extreme_values() -> None:
    check_tiles("cortex-a715", random_tiles(Smmla(), _SHAPES, least_weight=-128))


def test_products_are_made_by_the_instruction() -> None:
    tile = random_tiles(Smmla(), [(4, 16, 1, 64)])[0]
    text = assembly(tile.call(), isa_of("cortex-a715"))
    # 2 halves of 16 k by 2 pairs of rows by 8 pairs of columns, in however many copies of the loop's body.
    products = text.count("smmla\tv")
    assert products > 0
    assert products % 32 == 0


def test_it_needs_fewer_instructions_than_dot_products() -> None:
    node = conv_node((1, 12, 12, 64), (64, 64, 1, 1))
    isa = isa_of("cortex-a715")
    (products,) = run_calls("cortex-a715", [node.call(isa)])
    dots = replace(isa, int8="sdot")
    (sums,) = run_calls("cortex-a715", [node.call(dots)], dots)
    assert products.instructions is not None
    assert sums.instructions is not None
    assert products.instructions < 0.9 * sums.instructions
