from __future__ import annotations

from edgecompile.kernels.intrinsics.select import integer_kernel
from edgecompile.kernels.intrinsics.smlad import Smlad
from tests.support.on_target import assembly, isa_of
from tests.support.tiles import random_tiles


def test_bytes_and_pairs_are_rearranged_by_one_instruction_each() -> None:
    text = assembly(random_tiles(Smlad(), [(2, 2, 1, 64)], wide=True)[0].call(), isa_of("cortex-m4"))
    products = text.count("smlad\t")
    assert products % 8 == 0
    assert products > 0
    assert text.count("sxtb16\t") == products // 2
    assert text.count("pkhbt\t") == text.count("pkhtb\t") == products // 4


def test_it_is_taken_for_16_bits() -> None:
    assert integer_kernel(isa_of("cortex-m4"), "int16", -127, rows=9).name == "smlad"
