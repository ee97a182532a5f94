"""The analytic choices: where rows come from, and the register tile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.target import find_target
from edgecompile.kernels.compute import Window
from edgecompile.kernels.intrinsics.multiply_add import MultiplyAdd
from edgecompile.kernels.intrinsics.select import few_columns_kernels, float_kernel
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import (
    Product,
    choose_plan,
    choose_plan_of,
    choose_register_tile,
)

AVX512 = Machine(lanes=16, registers=32, in_flight=8, l1_bytes=32768, l2_bytes=1 << 20)
NEON = Machine(lanes=4, registers=32, in_flight=8)
CORTEX_M4 = Machine(lanes=1, registers=32, in_flight=2, l1_bytes=0, l2_bytes=0)


def conv(kernel: int, stride: int = 1, pad: int = 0, channels: int = 16, groups: int = 1) -> Product:
    window = Window((kernel,) * 2, (stride,) * 2, (1, 1), (pad,) * 2, (pad,) * 2)
    size = (28 + 2 * pad - kernel) // stride + 1
    k = kernel * kernel * channels // groups
    return Product((1, size, size, 32), (1, 28, 28, channels), 32 // groups, k, 4, groups, window)


@pytest.mark.parametrize(
    ("product", "machine", "source"),
    [
        (conv(1), AVX512, "memory"),
        (conv(1, stride=2), AVX512, "lines"),
        (conv(3, pad=1), AVX512, "lines"),
        (conv(3, pad=1), CORTEX_M4, "gather"),
        (conv(3), CORTEX_M4, "lines"),
        (conv(3, pad=1, groups=2), AVX512, "lines"),
        (replace(conv(3, pad=1), window=Window((3, 3), (1, 1), (1, 1), (-1, 1), (1, 1))), AVX512, "gather"),
        (replace(conv(1), window=None), AVX512, "memory"),
    ],
)
def test_rows_come_from_where_copying_is_least(product: Product, machine: Machine, source: str) -> None:
    assert choose_plan(MultiplyAdd(machine), machine, product).source == source


def test_rows_of_another_type_are_gathered() -> None:
    plan = choose_plan(MultiplyAdd(AVX512), AVX512, conv(3, pad=1), converts=True)
    assert plan.source == "gather"


@given(
    machine=st.sampled_from((AVX512, NEON, CORTEX_M4)),
    by_lane=st.booleans(),
    m=st.integers(1, 4000),
    n=st.integers(1, 1200),
    k=st.integers(1, 5000),
)
def test_tile_fits_registers_and_result(machine: Machine, by_lane: bool, m: int, n: int, k: int) -> None:
    kernel = MultiplyAdd(machine, by_lane)
    rows, columns = choose_register_tile(kernel, machine, m, n, k)
    assert 1 <= rows <= m
    assert columns % kernel.lanes == 0
    assert columns < n + kernel.lanes
    assert kernel.registers(rows, columns) <= machine.registers


@pytest.mark.parametrize(("n", "widest"), [(16, 16), (24, 32), (1000, 128)])
def test_many_rows_fill_the_registers(n: int, widest: int) -> None:
    """A tile with half of its accumulators unused would wait for loads."""
    rows, columns = choose_register_tile(MultiplyAdd(AVX512), AVX512, 3136, n, 256)
    assert columns <= widest
    assert rows * (columns // 16) >= 20


def test_one_row_takes_many_columns() -> None:
    """A matrix-vector product needs as many accumulators as multiply-adds are in flight."""
    assert choose_register_tile(MultiplyAdd(AVX512), AVX512, 1, 1024, 1024) == (1, 128)


@pytest.mark.parametrize(("n", "k", "kernel"), [(1, 288, "dot16_float32"), (8, 9, "multiply_add_float32")])
def test_few_columns_take_the_kernel_of_fewest_cycles(n: int, k: int, kernel: str) -> None:
    """Many k are summed along vectors; few would cost more to add up than the empty lanes do."""
    isa = replace(find_target("host").isa, vector_bits=512, registers=32)
    product = Product((1, 56, 56, n), (1, 56, 56, k), n, k, 4)
    kernels = [float_kernel(isa), *few_columns_kernels(isa)]
    assert choose_plan_of(kernels, Machine.of(isa), product).kernel == kernel


def test_portable_c_has_lanes_of_columns_only() -> None:
    isa = replace(find_target("host").isa, vector_bits=512, registers=32, intrinsics=False)
    assert [kernel.lanes for kernel in few_columns_kernels(isa)] == [4, 8]
