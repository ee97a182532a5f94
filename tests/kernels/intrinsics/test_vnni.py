from __future__ import annotations

import platform
from dataclasses import replace

import pytest

from edgecompile.core.target import Isa
from edgecompile.kernels.intrinsics.select import integer_kernel
from edgecompile.kernels.intrinsics.vnni import Vnni
from tests.support.on_target import assembly, isa_of
from tests.support.tiles import check_tiles, random_tiles

_SERVER = Isa("x86_64-linux-gnu", "znver5", 64, vector_bits=512, registers=32, int8="vnni")
_LAPTOP = Isa("x86_64-linux-gnu", "alderlake", 64, vector_bits=256, registers=16, int8="vnni")


def _host() -> Isa:
    isa = isa_of("host")
    if platform.machine() != "x86_64" or isa.int8 != "vnni":
        pytest.skip("this CPU has no VNNI")
    return isa


@pytest.mark.parametrize("bits", [256, 512])
def test_sums_are_exact_for_random_and_extreme_values(bits: int) -> None:
    host = _host()
    if bits > host.vector_bits:
        pytest.skip("this CPU has no vectors of 512 bits")
    kernel = Vnni(bits)
    lanes = kernel.lanes
    shapes = [(1, lanes, 1, 4), (1, 4 * lanes, 1, 36), (5, 2 * lanes, 1, 20), (4, lanes, 3, 12)]
    check_tiles("host", random_tiles(kernel, shapes, least_weight=-128))


@pytest.mark.parametrize(("isa", "register"), [(_SERVER, "zmm"), (_LAPTOP, "ymm")])
def test_products_are_made_by_the_instruction(isa: Isa, register: str) -> None:
    kernel = Vnni(isa.vector_bits)
    tile = random_tiles(kernel, [(6, 2 * kernel.lanes, 1, 64)])[0]
    products = [line for line in assembly(tile.call(), isa).splitlines() if "vpdpbusd" in line]
    assert len(products) >= 12
    assert all(register in line for line in products)


def test_tiles_that_fill_the_registers_do_not_spill() -> None:
    kernel = Vnni(512)
    assert kernel.registers(14, 32) <= 32
    text = assembly(random_tiles(kernel, [(14, 32, 1, 64)])[0].call(), _SERVER)
    loop = text[text.index("vpdpbusd") : text.rindex("vpdpbusd")]
    assert "(%rsp)" not in loop


def test_signed_activations_take_another_kernel() -> None:
    assert integer_kernel(_SERVER, "uint8", -127, rows=8).name == "vnni"
    assert integer_kernel(_SERVER, "int8", -127, rows=8).name == "vpdpwssd"
    assert (
        integer_kernel(replace(_SERVER, intrinsics=False), "uint8", -127, rows=8).name == "multiply_add_uint8"
    )
