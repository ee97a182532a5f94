from __future__ import annotations

import platform

import pytest

from edgecompile.core.target import Isa
from edgecompile.kernels.intrinsics.pmaddwd import Pmaddwd
from tests.support.on_target import assembly, isa_of
from tests.support.tiles import check_tiles, random_tiles


@pytest.mark.parametrize("bits", [128, 256, 512])
def test_sums_are_exact_for_random_and_extreme_values(bits: int) -> None:
    if platform.machine() != "x86_64" or bits > isa_of("host").vector_bits:
        pytest.skip(f"this CPU has no x86 vectors of {bits} bits")
    kernel = Pmaddwd(bits)
    lanes = kernel.lanes
    shapes = [(1, lanes, 1, 2), (1, 4 * lanes, 1, 18), (5, 2 * lanes, 1, 26), (4, lanes, 3, 6)]
    check_tiles("host", random_tiles(kernel, shapes, least_weight=-128))


@pytest.mark.parametrize("bits", [256, 512])
def test_vpdpwssd_is_exact(bits: int) -> None:
    if isa_of("host").int8 != "vnni" or bits > isa_of("host").vector_bits:
        pytest.skip(f"this CPU has no VNNI of {bits} bits")
    kernel = Pmaddwd(bits, adds=True)
    tiles = random_tiles(kernel, [(5, 2 * kernel.lanes, 1, 26), (4, kernel.lanes, 3, 6)], -128, wide=True)
    check_tiles("host", tiles)
    assert "vpdpwssd" in assembly(tiles[0].call(), isa_of("host"))


@pytest.mark.parametrize(("cpu", "bits"), [("x86-64", 128), ("haswell", 256), ("skylake-avx512", 512)])
def test_products_are_made_by_the_instruction(cpu: str, bits: int) -> None:
    kernel = Pmaddwd(bits)
    isa = Isa("x86_64-linux-gnu", cpu, 64, vector_bits=bits, registers=32 if bits == 512 else 16)
    tile = random_tiles(kernel, [(4, 2 * kernel.lanes, 1, 64)])[0]
    text = assembly(tile.call(), isa)
    assert text.count("pmaddwd") >= 8
    assert "pmulld" not in text
