"""Every plan of the design space computes the same; the analytic choice is one of them."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.fused import DOMAIN
from edgecompile.core.target import find_target
from edgecompile.kernels.compute import Window
from edgecompile.kernels.compute_depthwise import DepthwisePlan
from edgecompile.kernels.compute_gemm import GemmPlan
from edgecompile.kernels.compute_winograd import WinogradPlan
from edgecompile.kernels.intrinsics.base import MicroKernel
from edgecompile.kernels.intrinsics.select import (
    few_columns_kernels,
    find_kernel,
    float_kernel,
    integer_kernel,
)
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.gemm_plan import Product, choose_plan
from edgecompile.kernels.schedules.space import (
    depthwise_space,
    divisors,
    doublings,
    gemm_space,
    knobs,
    winograd_space,
)
from edgecompile.kernels.schedules.winograd_plan import choose_winograd
from edgecompile.lower import planned
from tests.kernels.schedules.test_implicit_gemm import check_conv
from tests.support.operators import check_node, normal
from tests.support.plans import AnyPlans

_SAME = Window((3, 3), (1, 1), (1, 1), (1, 1), (1, 1))
_STRIDED = Window((3, 3), (2, 2), (1, 1), (0, 0), (1, 1))
PRODUCTS = {
    "dense": Product((1, 10), (1, 64), 10, 64, 4),
    "pointwise": Product((1, 12, 12, 128), (1, 12, 12, 64), 128, 64, 4, window=Window.trivial(2)),
    "window": Product((1, 16, 16, 32), (1, 16, 16, 32), 32, 288, 4, window=_SAME),
    "strided": Product((1, 8, 8, 24), (1, 16, 16, 16), 24, 144, 4, window=_STRIDED),
    "first": Product((1, 16, 16, 16), (1, 32, 32, 3), 16, 27, 4, window=_STRIDED),
}


@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-a76", "cortex-m4"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_the_analytic_choice_is_in_the_space(name: str, target: str) -> None:
    isa, product = find_target(target).isa, PRODUCTS[name]
    kernels: list[tuple[MicroKernel, str]] = [(float_kernel(isa), "float32")]
    kernels += [(integer_kernel(isa, "int8", -127, 4), "int8")]
    for kernel, data in kernels:
        converts = kernel.data != data
        machine = Machine.of(isa)
        chosen = choose_plan(kernel, machine, product, converts)
        space = list(gemm_space(kernel, machine, product, converts))
        assert _near(chosen, space), (chosen, len(space))
        winograd = choose_winograd(kernel, machine, product, chosen)
        if winograd is not None:
            tiles = {
                (p.tile, p.product.rows, p.product.columns) for p in winograd_space(kernel, machine, product)
            }
            assert (winograd.tile, winograd.product.rows, winograd.product.columns) in tiles


def _near(chosen: GemmPlan, space: list[GemmPlan]) -> bool:
    """Whether the plan is in the space but for its block, for which doublings are enough."""
    own = {name: value for name, value in knobs(chosen).items() if name != "block"}
    return any(own.items() <= knobs(plan).items() for plan in space)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), kernel=st.sampled_from([1, 3]), stride=st.sampled_from([1, 2]))
def test_any_plan_computes_the_same(seed: int, kernel: int, stride: int) -> None:
    chance, found = random.Random(seed), []

    def any_plan(kernels: list[MicroKernel], machine: Machine, product: Product, converts: bool) -> GemmPlan:
        found.append(chance.choice(list(gemm_space(kernels[0], machine, product, converts))))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned, "choose_plan_of", any_plan)
        patch.setattr(planned, "choose_winograd", lambda *_: None)
        pads = [kernel // 2] * 4
        check_conv((1, 9, 10, 12), 37, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)
    assert found


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6))
def test_any_winograd_plan_computes_the_same(seed: int) -> None:
    chance = random.Random(seed)

    def any_plan(micro: MicroKernel, machine: Machine, product: Product, direct: GemmPlan) -> Any:
        return chance.choice(list(winograd_space(micro, machine, product)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planned, "choose_winograd", any_plan)
        check_conv((1, 9, 10, 12), 37, kernel_shape=[3, 3], pads=[1, 1, 1, 1])


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    channels=st.sampled_from((1, 3, 8, 16)),
    outputs=st.sampled_from((1, 3, 8, 24)),
    kernel=st.sampled_from((1, 3)),
)
def test_any_kernel_for_few_columns_computes_the_same(
    seed: int, channels: int, outputs: int, kernel: int
) -> None:
    inputs = [normal(2, 9, 11, channels), normal(outputs, channels, kernel, kernel, seed=1)]
    plans = AnyPlans(random.Random(seed))
    check_node(
        "ConvNhwc",
        inputs,
        plans=plans,
        constants=[1],
        domain=DOMAIN,
        kernel_shape=[kernel] * 2,
        pads=[kernel // 2] * 4,
    )
    assert isinstance(plans.chosen[0], GemmPlan | WinogradPlan)


def test_kernels_for_few_columns_are_found_by_name() -> None:
    """AVX-512 has 16 lanes."""
    isa = replace(find_target("host").isa, vector_bits=512, registers=32)
    names = [kernel.name for kernel in few_columns_kernels(isa)]
    narrow = ["multiply_add_float32_4", "multiply_add_float32_8"]
    assert names == [*narrow, "dot4_float32", "dot8_float32", "dot16_float32"]
    assert [find_kernel(name, isa).name for name in names] == names
    assert few_columns_kernels(replace(isa, vector_bits=0)) == []


def test_depthwise_plans_differ_in_tile_and_block() -> None:
    usual = DepthwisePlan("plain", 16, 7, 4, _SAME)
    space = list(depthwise_space(usual, (1, 12, 14, 32), 8))
    assert usual in space
    assert len({tuple(knobs(plan).values()) for plan in space}) == len(space) == 8 * len(divisors(12))


@given(count=st.integers(1, 400))
def test_block_sizes(count: int) -> None:
    assert all(count % size == 0 for size in divisors(count))
    sizes = doublings(count)
    assert sizes[0] == 1
    assert sizes[-1] == count
    assert np.all(np.diff(sizes) > 0)
