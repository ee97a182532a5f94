"""Whole integer kernels (gather or lines, micro-kernel, requantization), against the reference in NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecompile.core.integer import Rounding
from edgecompile.core.target import Isa
from tests.support.integer_nodes import IntegerNode, conv_node, gemm_node
from tests.support.on_target import assembly, isa_of, run_calls

_Kind = Literal["vnni", "pmaddwd", "portable"]
_SMALL = [1, 2, 3, 5, 8, 17]


@st.composite
def convolutions(draw: st.DrawFn, rounding: Rounding, dtype: str) -> IntegerNode:
    """Odd sizes, channels that fill no tile, strides, dilations, groups, asymmetric pads, several images."""
    rank = draw(st.sampled_from([1, 2, 2, 2, 3]))
    channels, outputs = draw(st.sampled_from([*_SMALL, 33])), draw(st.sampled_from([*_SMALL, 34]))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    if draw(st.booleans()):  # depthwise
        weights_of, channels = (channels, 1), channels
        groups = outputs = channels
    else:
        weights_of = (outputs * groups, channels)
        channels *= groups
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    pads = [draw(st.integers(0, 2)) for _ in range(2 * rank)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    sizes = [max(draw(st.integers(1, 9)), r) for r in reach]
    return conv_node(
        (draw(st.integers(1, 2)), *sizes, channels),
        (*weights_of, *kernel),
        rounding,
        dtype,
        extreme=draw(st.integers(0, 4)) == 0,
        seed=draw(st.integers(0, 1000)),
        group=groups,
        strides=[draw(st.integers(1, 3)) for _ in range(rank)],
        dilations=dilations,
        pads=pads,
    )


def _check(target: str, nodes: list[IntegerNode], isa: Isa) -> None:
    outcomes = run_calls(target, [node.call(isa) for node in nodes], isa)
    for node, outcome in zip(nodes, outcomes, strict=True):
        wrong = np.argwhere(outcome.result != node.expected)
        shapes = [array.shape for array in node.inputs if array is not None]
        assert wrong.size == 0, f"{shapes} {node.attributes}: {len(wrong)} differ, first {wrong[0]}"


def _isa(kind: _Kind) -> Isa:
    """The host with kernels of one kind, in one of its forms."""
    host = isa_of("host")
    if kind == "portable":
        return replace(host, int8="", vector_bits=128, intrinsics=False)
    if kind == "vnni" and host.int8 != "vnni":
        pytest.skip("this CPU has no VNNI")
    return replace(host, int8=kind)


@pytest.mark.parametrize(
    ("kind", "rounding", "dtype"),
    [
        ("vnni", "float", "uint8"),
        ("pmaddwd", "double", "int8"),
        ("portable", "single", "uint8"),
        ("vnni", "float", "int16"),
        ("pmaddwd", "single", "int16"),
        ("portable", "double", "int16"),
    ],
)
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_any_convolution_on_the_host(kind: _Kind, rounding: Rounding, dtype: str, data: Any) -> None:
    _check("host", [data.draw(convolutions(rounding, dtype))], _isa(kind))


@pytest.mark.parametrize("target", ["cortex-a72", "cortex-a76", "cortex-a715"])
@pytest.mark.parametrize(
    ("rounding", "dtype"), [("single", "int8"), ("double", "int8"), ("single", "int16"), ("float", "int16")]
)
@settings(max_examples=3, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_convolution_on_arm(target: str, rounding: Rounding, dtype: str, data: Any) -> None:
    """Several networks a program, because starting the emulator takes longer than they do."""
    nodes = [data.draw(convolutions(rounding, dtype)) for _ in range(8)]
    _check(target, nodes, isa_of(target))


@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-a76", "cortex-a715"])
def test_a_window_that_sees_only_padding(target: str) -> None:
    """TVM folds the data away; what is left is no matrix product."""
    depthwise = conv_node((1, 1, 1, 5), (5, 1, 1, 1), group=5, strides=[1, 2], pads=[0, 1, 0, 1])
    _check(
        target,
        [conv_node((1, 1, 1, 3), (4, 3, 1, 1), strides=[1, 2], pads=[0, 1, 0, 1]), depthwise],
        isa_of(target),
    )


def _deep(rounding: Rounding) -> list[IntegerNode]:
    """int16 nodes whose sums need 64 bits: in one run and in several, dense, grouped, and just not."""
    options: dict[str, Any] = {"rounding": rounding, "dtype": "int16"}
    convolutions = [
        conv_node((1, 4, 5, 64), (6, 64, 3, 3), pads=[1, 1, 1, 1], extreme=True, **options),
        conv_node((1, 3, 3, 1030), (5, 1030, 1, 1), extreme=True, seed=1, **options),
        conv_node((1, 4, 4, 1200), (10, 600, 1, 1), group=2, extreme=True, seed=2, **options),
        conv_node((1, 40, 1, 6), (6, 1, 26, 21), group=6, pads=[0, 10, 0, 10], extreme=True, **options),
    ]
    assert all(node.attributes["sum_shift"] > 0 for node in convolutions)
    fits = conv_node((1, 2, 2, 516), (5, 516, 1, 1), extreme=True, **options)
    assert "sum_shift" not in fits.attributes
    return [*convolutions, fits, gemm_node(3, 4000, 9, seed=3, **options), gemm_node(1, 700, 33, **options)]


@pytest.mark.parametrize("rounding", ["single", "double", "float"])
@pytest.mark.parametrize("kind", ["vnni", "pmaddwd", "portable"])
def test_sums_of_64_bits_on_the_host(kind: _Kind, rounding: Rounding) -> None:
    _check("host", _deep(rounding), _isa(kind))


@pytest.mark.parametrize("target", ["cortex-a7", "cortex-a72", "cortex-a76"])
def test_sums_of_64_bits_on_arm(target: str) -> None:
    _check(target, _deep("single"), isa_of(target))


@pytest.mark.parametrize("target", ["host", "cortex-a72", "cortex-a76", "cortex-a715"])
def test_dense_layers_of_odd_sizes(target: str) -> None:
    dtype, rounding = ("uint8", "float") if target == "host" else ("int8", "single")
    shapes = [(1, 1, 1), (1, 640, 128), (3, 17, 10), (7, 33, 5), (16, 100, 70)]
    nodes = [gemm_node(m, k, n, rounding, dtype, seed=m) for m, k, n in shapes]  # type: ignore[arg-type]
    _check(target, nodes, isa_of(target))


def test_weights_of_minus_128_are_exact() -> None:
    node = conv_node((1, 5, 5, 32), (8, 32, 3, 3), extreme=True, pads=[1, 1, 1, 1])
    weights = node.inputs[1]
    assert weights is not None
    low = np.where(weights < 0, -128, weights).astype(np.int8)
    depthwise = conv_node((1, 6, 6, 20), (20, 1, 3, 3), extreme=True, group=20)
    nodes = [replace(node, inputs=(node.inputs[0], low, *node.inputs[2:]))]
    low = np.full((20, 1, 3, 3), -128, np.int8)
    nodes.append(replace(depthwise, inputs=(depthwise.inputs[0], low, *depthwise.inputs[2:])))
    for target in ("cortex-a72", "cortex-a76", "cortex-a715"):
        _check(target, nodes, isa_of(target))


@pytest.mark.parametrize("cpu", ["x86-64", "haswell", "znver5"])
def test_float_requantization_is_vector_code_without_calls(cpu: str) -> None:
    bits = {"x86-64": 128, "haswell": 256, "znver5": 512}[cpu]
    isa = replace(isa_of("x86-64"), cpu=cpu, vector_bits=bits, registers=32 if bits == 512 else 16)
    text = assembly(conv_node((1, 8, 8, 16), (32, 16, 1, 1), "float", "uint8").call(isa), isa)
    assert "call" not in text.split("kernel:")[1].split(".Lfunc_end0")[0]
    assert "cvtsi2ss" not in text
    assert "mulss" not in text


def test_depthwise_takes_few_instructions() -> None:
    """Two products in 16 bits are added before they are widened; what is left is loads and requantization."""
    node = conv_node((1, 25, 5, 64), (64, 1, 3, 3), pads=[1, 1, 1, 1], group=64)
    (outcome,) = run_calls("cortex-a72", [node.call(isa_of("cortex-a72"))])
    np.testing.assert_array_equal(outcome.result, node.expected)
    assert outcome.instructions is not None
    assert outcome.instructions < 0.6 * 25 * 5 * 64 * 9
