"""Products on the simulated GPU by any plan, in every arithmetic, against NumPy."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te, tirx
from tvm.tirx import IntImm

from edgecompile.kernels.compact import store_halves
from edgecompile.kernels.compute import Tensor, Window
from edgecompile.kernels.compute_gemm import PACKED, pack_gemm_weights, packed_conv, packed_matmul
from edgecompile.kernels.gpu.fetch import place_of
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.plan import (
    DP4A,
    MMA_BYTES,
    MMA_HALVES,
    THREADS,
    Arithmetic,
    GpuPlan,
    choose_gpu_plan,
    gpu_plans,
)
from edgecompile.kernels.schedules.gemm_plan import Product
from tests.support.gpu_networks import GPU, simulated_functions
from tests.support.operators import Array

MACHINE = Gpu(GPU.multiprocessors)
KINDS = (THREADS, DP4A, MMA_BYTES, MMA_HALVES)


def some_product(draw: random.Random, kind: Arithmetic) -> Product:
    """A convolution or a plain product of a few thousand multiply-adds."""
    nbytes = 1 if kind.group == 4 else 4
    channels, n = draw.choice([1, 2, 3, 4, 6, 8, 16, 20]), draw.choice([1, 2, 5, 8, 20, 33])
    if draw.random() < 0.3:
        m, k = draw.choice([1, 3, 17, 40]), channels * draw.choice([1, 5, 9])
        return Product((m, n), (m, k), n, k, nbytes)
    taps, stride, pad = draw.choice([1, 3]), draw.choice([1, 2]), draw.choice([0, 1])
    groups = draw.choice([1, 1, 2])
    height, width = draw.randint(3, 7), draw.randint(3, 6)
    window = Window((taps,) * 2, (stride,) * 2, (1, 1), (pad,) * 2, (pad,) * 2)
    extents = [(e + 2 * pad - taps) // stride + 1 for e in (height, width)]
    return Product(
        (1, *extents, n * groups),
        (1, height, width, channels * groups),
        n,
        taps * taps * channels,
        nbytes,
        groups,
        window,
        -3 if nbytes == 1 else 0,
    )


class Trial:
    """A product, its operands, and the function that a plan makes of it."""

    def __init__(self, product: Product, plan: GpuPlan, seed: int) -> None:
        self.product, self.plan = product, plan
        rng, shape = np.random.default_rng(seed), (product.groups * product.n, product.k)
        if plan.group == 4:
            self.data = rng.integers(-128, 128, product.extents).astype(np.int8)
            self.rows = rng.integers(-128, 128, shape).astype(np.int8)
        else:
            self.data = rng.standard_normal(product.extents).astype(np.float32)
            self.rows = rng.standard_normal(shape).astype(np.float32)
        packed = pack_gemm_weights(self.rows, plan)
        self.packed = store_halves(packed, instructions=False) if plan.kernel == MMA_HALVES.name else packed
        self.accumulator = "int32" if plan.group == 4 else "float32"

    def function(self) -> tirx.PrimFunc:
        data = te.placeholder(self.data.shape, self.data.dtype.name, "data")
        weights = te.placeholder(self.packed.shape, self.packed.dtype.name, PACKED)
        sums = self._define(data, weights)
        doubled = te.compute(sums.shape, lambda *i: sums(*i) * 2, name="epilogue")
        return te.create_prim_func([data, weights, doubled])

    def _define(self, data: Tensor, weights: Tensor) -> Tensor:
        define: Any = packed_matmul if self.product.window is None else packed_conv
        return define(data, weights, self.plan, self.product.shape, self.accumulator)

    def expected(self) -> Array:
        """The result in NumPy, of operands as they are multiplied."""
        wide = [
            x.astype(np.float16) if self.plan.kernel == MMA_HALVES.name else x for x in (self.data, self.rows)
        ]
        data, rows = (x.astype(np.float64) for x in wide)
        product, window = self.product, self.product.window
        if window is None:
            return np.asarray(data @ rows.T * 2)
        pads = [(0, 0), *zip(window.pads, window.ends, strict=True), (0, 0)]
        data = np.pad(data, pads, constant_values=product.pad)
        windows = np.lib.stride_tricks.sliding_window_view(data, window.kernel, (1, 2))
        windows = windows[:, :: window.strides[0], :: window.strides[1]]
        split = windows.reshape(*windows.shape[:3], product.groups, -1, *window.kernel)
        gathered = np.moveaxis(split, 4, -1).reshape(*windows.shape[:3], product.groups, -1)
        grouped = rows.reshape(product.groups, product.n, -1)
        return np.asarray(np.einsum("bhwgk,gnk->bhwgn", gathered, grouped).reshape(product.shape) * 2)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, 10**6))
def test_any_plan_computes_the_product(seed: int) -> None:
    draw, trials = random.Random(seed), []
    for kind in KINDS * 2:
        product = some_product(draw, kind)
        plans = list(gpu_plans(MACHINE, product, kind))
        trials.append(Trial(product, draw.choice(plans), seed))
    with simulated_functions({f"k{i}": trial.function() for i, trial in enumerate(trials)}) as (
        driver,
        source,
    ):
        for i, trial in enumerate(trials):
            result = np.empty(trial.product.shape, trial.accumulator)
            *_, result = driver.run(source.kernels[f"k{i}"], [trial.data, trial.packed, result])
            want = trial.expected()
            scale = np.abs(want).max() + 1e-30
            np.testing.assert_allclose(result, want, atol=2e-6 * scale, rtol=0, err_msg=str(trial.plan))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [(1, 1, 8, 2), (1, 56, 56, 24), (1, 1, 1, 1000), (1, 1, 1, 1)])
def test_every_product_has_a_plan_that_fits(kind: Arithmetic, shape: tuple[int, ...]) -> None:
    for k in (1, 7, 64, 4608):
        product = Product(shape, (*shape[:-1], k), shape[-1], k, 4)
        plan = choose_gpu_plan(MACHINE, product, kind)
        assert plan.threads % 32 == 0
        assert plan.threads <= 512
        assert kind.nbytes * (plan.shared_words + plan.shared_sums) <= 48 * 1024
        assert plan.depth >= k
        assert GpuPlan.load(plan.dump()) == plan


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_data_goes_to_different_banks(kind: Arithmetic) -> None:
    """At most four threads of a warp store to the same bank, of 32, at a time; mostly one or two do."""
    product = Product((1, 14, 14, 64), (1, 14, 14, 96), 64, 96, 4 // kind.group)
    plans = {(plan.block, plan.words): plan for plan in gpu_plans(MACHINE, product, kind) if plan.block >= 32}
    together = [count for plan in plans.values() for count in _stores_to_one_bank(plan)]
    assert max(together) <= 4
    assert sum(count <= 2 for count in together) > 0.7 * len(together)


def _stores_to_one_bank(plan: GpuPlan) -> list[int]:
    """Words that the first warp stores to the same bank: for each word of an item the most of any bank."""
    words = 2 if plan.group == 2 else 4
    each_row = plan.words // words
    near = math.gcd(each_row, 2)
    found = []
    for word in range(words):
        banks: dict[int, set[int]] = {}
        for thread in range(min(32, plan.block * each_row)):
            row, part = (int(place) for place in place_of(IntImm("int32", thread), near, plan.block))
            address = (part * words + word) * plan.pitches[0] + row
            banks.setdefault(address % 32, set()).add(address)
        found.append(max(map(len, banks.values())))
    return found
