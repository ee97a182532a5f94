"""Where Winograd's algorithm is chosen, and how its work is divided."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product, choose_plan
from edgecompile.kernels.schedules.winograd_plan import choose_winograd, plan_winograd
from edgecompile.kernels.winograd import TILES

AVX512 = Machine(lanes=16, registers=32, in_flight=8, l1_bytes=49152, l2_bytes=1 << 20)
NEON = Machine(lanes=4, registers=32, in_flight=8)
SCALAR = Machine(lanes=1, registers=16, in_flight=2)
NO_CACHE = Machine(lanes=4, registers=8, in_flight=8, l1_bytes=0, l2_bytes=0)


def conv(
    size: int, channels: int, outputs: int, stride: int = 1, dilation: int = 1, groups: int = 1
) -> Product:
    """A padded 3 x 3 convolution of one image."""
    window = Window((3, 3), (stride,) * 2, (dilation,) * 2, (dilation,) * 2, (dilation,) * 2)
    extent, k = -(-size // stride), 9 * channels // groups
    shape, extents = (1, extent, extent, outputs), (1, size, size, channels)
    return Product(shape, extents, outputs // groups, k, 4, groups, window)


def choose(machine: Machine, product: Product) -> WinogradPlan | None:
    kernel = MultiplyAdd(machine, by_lane=machine is NEON)
    return choose_winograd(kernel, machine, product, choose_plan(kernel, machine, product))


@pytest.mark.parametrize(
    "product",
    [
        conv(28, 64, 64, stride=2),
        conv(28, 64, 64, dilation=2),
        conv(28, 64, 64, groups=2),
        conv(28, 1, 64),
        conv(28, 3, 16),
        conv(28, 1, 8),
        replace(conv(28, 64, 64), window=None),
        replace(conv(28, 64, 64), k=5 * 5 * 64, window=Window((5, 5), (1, 1), (1, 1), (2, 2), (2, 2))),
        replace(conv(28, 64, 64), k=3 * 64, window=Window((3, 1), (1, 1), (1, 1), (1, 0), (1, 0))),
        Product((1, 28, 64), (1, 28, 64), 64, 3 * 64, 4, 1, Window((3,), (1,), (1,), (1,), (1,))),
    ],
)
@pytest.mark.parametrize("machine", [AVX512, NEON])
def test_refused(product: Product, machine: Machine) -> None:
    assert choose(machine, product) is None


@pytest.mark.parametrize("machine", [SCALAR, NO_CACHE])
def test_refused_without_vectors_or_cache(machine: Machine) -> None:
    assert choose(machine, conv(28, 64, 64)) is None


@pytest.mark.parametrize("machine", [AVX512, NEON])
@pytest.mark.parametrize(("size", "channels"), [(56, 64), (32, 16), (16, 32), (28, 128)])
def test_large_tiles_where_products_dominate(machine: Machine, size: int, channels: int) -> None:
    plan = choose(machine, conv(size, channels, channels))
    assert plan is not None
    assert plan.tile == 4


def test_small_tiles_where_fetching_weights_dominates() -> None:
    plan = choose(AVX512, conv(7, 512, 512))
    assert plan is not None
    assert plan.tile == 2


def test_threads_that_would_each_fetch_all_weights() -> None:
    product = conv(7, 512, 512)
    assert choose(AVX512, product) is not None
    assert choose(replace(AVX512, threads=4), product) is None


def test_every_thread_gets_a_block() -> None:
    plan = choose(replace(AVX512, threads=4), conv(28, 32, 32))
    assert plan is not None
    assert math.ceil(49 / plan.product.block) == 4


@given(
    machine=st.sampled_from((AVX512, NEON)),
    tile=st.sampled_from(TILES),
    size=st.integers(1, 300),
    channels=st.integers(1, 512),
    outputs=st.integers(1, 512),
)
def test_blocks_are_whole_register_tiles(
    machine: Machine, tile: int, size: int, channels: int, outputs: int
) -> None:
    product = conv(size, channels, outputs)
    assert product.window is not None
    plan = plan_winograd(MultiplyAdd(machine), machine, product, product.window, tile)
    total = math.prod(plan.tiles(product.shape))
    assert plan.product.block == total or plan.product.block % plan.product.rows == 0
    assert plan.product.block <= total
    assert WinogradPlan.load(plan.dump()) == plan
