"""Linear interpolation of integers: kernels against the reference in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecompile.core.integer import ROUNDINGS, Multiplier
from tests.support.integer_nodes import IntegerNode
from tests.support.on_target import isa_of, run_calls


@st.composite
def resizes(draw: st.DrawFn) -> IntegerNode:
    """Up to four axes of up to four, with any positions, requantized or not."""
    rank = draw(st.integers(1, 4))
    shape = [draw(st.integers(1, 6)) for _ in range(rank)]
    axes = draw(st.lists(st.integers(0, rank - 1), min_size=1, max_size=rank, unique=True))
    sizes = [draw(st.integers(1, 9)) for _ in axes]
    bits = min(10, 23 // len(axes))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    dtype = draw(st.sampled_from(["int8", "uint8"]))
    limits, rounding = np.iinfo(dtype), draw(st.sampled_from(ROUNDINGS))
    x = random.integers(limits.min, limits.max + 1, shape).astype(dtype)
    if draw(st.integers(0, 3)) == 0:
        x[:] = random.choice([limits.min, limits.max])
    last = [(shape[axis] - 1) << bits for axis in axes]
    positions = [random.integers(0, end + 1, size) for end, size in zip(last, sizes, strict=True)]
    zero = 0 if dtype == "int8" else 128
    attributes: dict[str, Any] = {"axes": axes, "sizes": sizes, "bits": bits, "rounding": rounding}
    attributes |= {"x_zero": zero, "y_zero": zero, "lo": int(limits.min), "hi": int(limits.max)}
    inputs: tuple[Any, ...] = (x, np.concatenate(positions).astype(np.int32))
    if draw(st.booleans()):
        factors = Multiplier.of([random.uniform(0.2, 1.5) / (1 << bits * len(axes))], rounding)
        inputs += (factors.multiplier, factors.shift)
        attributes |= {"x_zero": int(random.integers(limits.min, limits.max + 1)), "hi": int(limits.max) - 3}
    return IntegerNode("ResizeLinear", inputs, attributes)


def check(target: str, nodes: list[IntegerNode]) -> None:
    isa = isa_of(target)
    outcomes = run_calls(target, [node.call(isa) for node in nodes], isa)
    for node, outcome in zip(nodes, outcomes, strict=True):
        np.testing.assert_array_equal(outcome.result, node.expected, str(node.attributes))


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(resizes())
def test_any_interpolation_on_the_host(node: IntegerNode) -> None:
    check("host", [node])


@pytest.mark.parametrize("target", ["cortex-a7", "cortex-a76"])
@settings(max_examples=3, suppress_health_check=[HealthCheck.too_slow])
@given(nodes=st.lists(resizes(), min_size=6, max_size=6))
def test_any_interpolation_on_arm(target: str, nodes: list[IntegerNode]) -> None:
    check(target, nodes)


def image(dtype: str) -> IntegerNode:
    """An image [1, 5, 5, 32] doubled, neighbours weighted 1 and 3 (in two's complement: also below 0)."""
    x = np.random.default_rng(1).integers(-128, 128, (1, 5, 5, 32))
    places = np.clip((np.arange(10) * 2 - 1) * 256, 0, 4096).astype(np.int32)
    zero = 0 if dtype == "int8" else 128
    limits = {"lo": zero - 128, "hi": zero + 127, "x_zero": zero, "y_zero": zero, "rounding": "single"}
    attributes = {"axes": [1, 2], "sizes": [10, 10], "bits": 10, **limits}
    return IntegerNode("ResizeLinear", ((x + zero).astype(dtype), np.tile(places, 2)), attributes)


def test_both_types_round_alike() -> None:
    signed, unsigned = image("int8"), image("uint8")
    np.testing.assert_array_equal(signed.expected.astype(int) + 128, unsigned.expected)
    check("host", [signed, unsigned])


def test_an_image_is_interpolated_in_vectors() -> None:
    (outcome,) = run_calls("cortex-a72", [image("int8").call(isa_of("cortex-a72"))])
    assert outcome.instructions is not None
    assert outcome.instructions < 8 * outcome.result.size


def test_halves_are_rounded_away_from_zero() -> None:
    node = image("int8")
    x = np.array([1, 2, -1, -2, -5, 4], np.int8)
    attributes = {**node.attributes, "axes": [0], "sizes": [5], "bits": 1}
    halves = replace(node, inputs=(x, np.arange(1, 10, 2, dtype=np.int32)), attributes=attributes)
    assert halves.expected.tolist() == [2, 1, -2, -4, -1]
    check("host", [halves])
