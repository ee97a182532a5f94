"""Every plan of the general schedule computes the same, whatever the shape."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import te

from edgecompile.core.fused import DOMAIN
from edgecompile.core.target import find_target
from edgecompile.kernels.compute_softmax import softmax
from edgecompile.kernels.loops import RowLoops
from edgecompile.kernels.machine import Machine
from edgecompile.kernels.schedules.features import option_features
from edgecompile.kernels.schedules.loop_plan import LoopPlan
from edgecompile.kernels.schedules.loop_space import LoopSpace
from edgecompile.kernels.schedules.space import Option, OptionSpace, knobs
from edgecompile.lower.codegen import resolve_native
from tests.support.operators import check_node, normal
from tests.support.plans import AnyPlans

HOST = resolve_native(find_target("host").isa)
# Operators of the general schedule with data of [N, H, W, C], each with what it needs.
OPERATORS: dict[str, Callable[[tuple[int, ...]], dict[str, Any]]] = {
    "MaxPoolNhwc": lambda _: {"domain": DOMAIN, "kernel_shape": [3, 2], "pads": [1, 0, 1, 1]},
    "AveragePoolNhwc": lambda _: {"domain": DOMAIN, "kernel_shape": [2, 3], "strides": [2, 1]},
    "GlobalAveragePoolNhwc": lambda _: {"domain": DOMAIN},
    "ReduceMax": lambda _: {"axes": [1, 2], "opset": 13},
    "Relu": lambda _: {},
    "Transpose": lambda _: {"perm": [0, 3, 1, 2]},
    "Softmax": lambda _: {},
    "LpNormalization": lambda _: {"axis": -1},
}


@settings(max_examples=25)
@given(data=st.data())
def test_any_plan_computes_the_same(data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 2)), *(data.draw(st.integers(4, 19)) for _ in range(2)))
    shape = (*shape, data.draw(st.sampled_from((1, 3, 7, 16, 17, 40, 64))))
    operator = data.draw(st.sampled_from(sorted(OPERATORS)))
    plans = AnyPlans(random.Random(data.draw(st.integers(0, 10**6))))
    check_node(operator, [normal(*shape)], plans=plans, **OPERATORS[operator](shape))


@settings(max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    size=st.tuples(st.integers(3, 17), st.integers(3, 17)),
    channels=st.sampled_from((3, 8, 17, 64)),
    stride=st.integers(1, 2),
)
def test_any_plan_of_a_depthwise_convolution(
    seed: int, size: tuple[int, int], channels: int, stride: int
) -> None:
    plans = AnyPlans(random.Random(seed))
    inputs = [normal(1, *size, channels), normal(channels, 1, 3, 3, seed=1), normal(channels, seed=2)]
    check_node(
        "ConvNhwcRelu",
        inputs,
        plans=plans,
        constants=[1, 2],
        domain=DOMAIN,
        group=channels,
        kernel_shape=[3, 3],
        strides=[stride] * 2,
        pads=[1] * 4,
    )
    assert plans.chosen


@settings(max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    m=st.integers(2, 40),
    k=st.integers(16, 40),
    n=st.sampled_from((16, 17, 48, 70)),
)
def test_any_plan_of_a_product_of_two_activations(seed: int, m: int, k: int, n: int) -> None:
    check_node("MatMul", [normal(2, m, k), normal(2, k, n, seed=1)], plans=AnyPlans(random.Random(seed)))


def _function(definition: Callable[..., te.Tensor], *shapes: tuple[int, ...]) -> Any:
    inputs = [te.placeholder(shape, "float32", name=f"x{i}") for i, shape in enumerate(shapes)]
    return te.create_prim_func([*inputs, definition(*inputs)])


def _sum(x: te.Tensor) -> te.Tensor:
    k = te.reduce_axis((0, 9), "k")
    return te.compute((x.shape[0], x.shape[2]), lambda i, j: te.sum(x(i, k, j), axis=k), name="sum")


def _twice(x: te.Tensor) -> te.Tensor:
    return te.compute(x.shape, lambda *i: x(*i) * 2.0, name="twice")


def _turned(x: te.Tensor) -> te.Tensor:
    return te.compute((x.shape[1], x.shape[0]), lambda i, j: x(j, i), name="turned")


@pytest.mark.parametrize(
    ("definition", "shape", "some"),
    [
        (_sum, (16, 9, 64), LoopPlan(4, 32, "columns", 9)),
        (_twice, (16, 96), LoopPlan(unroll=4, lanes=16)),
        (_turned, (64, 96), LoopPlan(order="rows", lanes=8, form="blocks")),
        (_turned, (3, 512), LoopPlan(lanes=16, form="interleave")),
    ],
)
def test_what_there_is_to_choose(definition: Any, shape: tuple[int, ...], some: LoopPlan) -> None:
    space = LoopSpace(_function(definition, shape), HOST)
    plans = space.plans()
    assert space.is_open
    assert plans[0] == space.usual == LoopPlan()
    assert some in plans
    assert len(plans) == len(set(plans)) == len({tuple(knobs(plan).items()) for plan in plans})
    assert len({len(space.features(plan)) for plan in plans}) == 1


def test_what_is_small_or_written_by_hand_has_no_choice() -> None:
    for function in (
        _function(_twice, (4, 16)),
        _function(lambda x: softmax(x, 1, RowLoops(8)), (64, 64)),
    ):
        space = LoopSpace(function, HOST)
        assert space.plans() == [LoopPlan()]
        assert not space.is_open


def test_the_usual_plan_leaves_a_function_as_it_is() -> None:
    function = _function(_twice, (16, 96))
    assert LoopPlan().attach(function) is function
    planned = LoopPlan(lanes=8, unroll=2).attach(function)
    assert LoopPlan.of(planned) == LoopPlan(lanes=8, unroll=2)
    assert LoopPlan.of(function) == LoopPlan()


def test_options_have_the_usual_value_first_and_each_once() -> None:
    space = OptionSpace("row_lanes", (16, 1, 4, 16), partial(option_features, Machine.of(HOST), (2, 8)))
    assert space.plans() == [Option("row_lanes", value) for value in (16, 1, 4)]
    assert space.usual == space.plans()[0]
    assert np.isfinite(space.features(space.usual)).all()
