"""The operators on 16-bit integers, against real arithmetic without any rounding but the last."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.integer import ROUNDINGS, Multiplier, Rounding, add_shift, sum_shift
from edgecompile.passes.quantize.operators import OPERATORS
from tests.support.integer_nodes import IntegerNode, conv_node, gemm_node, table_of_lines

Array = np.ndarray[Any, Any]

# How far a result may be from the real number, clamped: half a step, and what a mode rounds besides.
_OFF = {"single": 0.51, "float": 0.51, "double": 1.0}
_INT16 = np.iinfo(np.int16)
modes = st.sampled_from(ROUNDINGS)
integers = st.integers(int(_INT16.min), int(_INT16.max))


def _operate(
    op_type: str, inputs: list[Array], factors: list[float], rounding: Rounding, **more: Any
) -> Array:
    scalars = {"y_zero": 0, "lo": int(_INT16.min), "hi": int(_INT16.max), "rounding": rounding}
    multiplier = Multiplier.of(factors, rounding)
    arrays = [*inputs, multiplier.multiplier, multiplier.shift]
    return OPERATORS[op_type](arrays, {**scalars, **more}, np.int16)


def _assert_near(got: Array, real: Array, rounding: Rounding, more: float = 0.0) -> None:
    off = np.abs(got - np.clip(real, _INT16.min, _INT16.max))
    assert off.max() <= _OFF[rounding] + more


def _factor(node: IntegerNode, at: int) -> Array:
    """The real multipliers of a node, whose sums are not shifted yet."""
    multiplier, shift = node.inputs[at], node.inputs[at + 1]
    assert multiplier is not None
    real = multiplier.astype(np.float64)
    if shift is not None:
        real = real * 2.0 ** -(31.0 + shift)
    return np.asarray(real / 2.0 ** node.attributes.get("sum_shift", 0))


@given(st.integers(1, 1200), st.integers(0, 1000), modes)
def test_products_of_any_depth(depth: int, seed: int, rounding: Rounding) -> None:
    node = gemm_node(2, depth, 3, rounding, "int16", seed)
    x, w, bias = (np.asarray(array, np.int64) for array in node.inputs[:3])
    real = np.maximum((x @ w.T + bias) * _factor(node, 3), node.attributes["lo"])
    _assert_near(node.expected, real, rounding)


@given(st.sampled_from([3, 600]), st.integers(0, 1000), modes)
def test_extreme_convolutions(channels: int, seed: int, rounding: Rounding) -> None:
    """All sums are the greatest or the least possible: none may wrap around."""
    node = conv_node((1, 3, 3, channels), (4, channels, 1, 1), rounding, "int16", extreme=True, seed=seed)
    assert ("sum_shift" in node.attributes) == (channels == 600)
    x, w, bias = (np.asarray(array, np.int64) for array in node.inputs[:3])
    real = np.maximum((x @ w.reshape(4, -1).T + bias) * _factor(node, 3), node.attributes["lo"])
    _assert_near(node.expected, real, rounding)


@given(st.integers(1, 300), st.floats(1e-9, 1e-6), st.integers(0, 1000), modes)
def test_products_of_activations(depth: int, factor: float, seed: int, rounding: Rounding) -> None:
    random = np.random.default_rng(seed)
    a, b = (random.integers(-32768, 32768, shape).astype(np.int16) for shape in ((3, depth), (depth, 2)))
    shift = sum_shift(depth << 30)
    got = _operate("MatMul", [a, b], [factor * 2.0**shift], rounding, a_zero=0, b_zero=0, sum_shift=shift)
    _assert_near(got, (a.astype(np.int64) @ b) * factor, rounding)


@given(integers, integers, st.floats(0.01, 100), modes)
def test_sums(a: int, b: int, ratio: float, rounding: Rounding) -> None:
    """a * 1 + b * ratio on a scale that covers both."""
    twice, scale = 2 * max(1.0, ratio), 1.0 + ratio
    factors = [1 / twice, ratio / twice, twice / ((1 << add_shift("int16", "int16")) * scale)]
    arrays = [np.array([value], np.int16) for value in (a, b)]
    for op_type, sign in (("Add", 1), ("Sub", -1)):
        got = _operate(op_type, arrays, factors, rounding, a_zero=0, b_zero=0)
        _assert_near(got, np.array([(a + sign * b * ratio) / scale]), rounding, 0.01)


@given(integers, integers, st.floats(1e-6, 1e-2), modes)
def test_products_of_elements(a: int, b: int, factor: float, rounding: Rounding) -> None:
    arrays = [np.array([value], np.int16) for value in (a, b)]
    got = _operate("Mul", arrays, [factor], rounding, a_zero=0, b_zero=0)
    _assert_near(got, np.array([a * b * factor]), rounding)


@given(integers)
def test_tables_are_lines_between_their_entries(x: int) -> None:
    table = table_of_lines(np.tanh)
    got = OPERATORS["Table"]([np.array([x], np.int16), table], {}, np.int16)
    first = (x + 32768) // 128
    left, right = int(table[first]), int(table[first + 1])
    assert abs(int(got[0]) - (left + (right - left) * (x + 32768 - 128 * first) / 128)) <= 0.5


@given(st.integers(1, 1 << 52))
def test_shifted_sums_fit_32_bits(greatest: int) -> None:
    shift = sum_shift(greatest)

    def largest(n: int) -> int:
        return (greatest + ((1 << n) >> 1)) >> n

    assert largest(shift) < 1 << 31
    assert shift == 0 or largest(shift - 1) >= 1 << 31
