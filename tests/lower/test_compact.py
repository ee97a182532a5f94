"""Constants in 4 bits and in float16, read by all kinds of operators, against onnxruntime."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.backends.pipeline import optimize
from edgecompile.core.target import find_target
from edgecompile.lower.build import BuiltNetwork, build_network
from tests.support.compact import Array, CompactGraph, expected
from tests.support.execute import call, link
from tests.support.quantized import as_model


def check(
    message: onnx.ModelProto, feeds: dict[str, Array], emit: str = "lib", target: str = "host"
) -> BuiltNetwork:
    """Compile and execute; returns what was built. Nothing widened may go through the arena."""
    wanted = expected(message, feeds)
    model = optimize(as_model(message), find_target(target))[0]
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as name:
        built = build_network(model, "net", find_target(target), emit, Path(name))
        (result,) = call(link(built, Path(name)).net_run, built, model, list(feeds.values()))
    np.testing.assert_allclose(result, wanted, rtol=0, atol=2e-6 * np.abs(wanted).max(initial=1))
    return built


def check_product(
    rows: int, depth: int, columns: int, emit: str = "lib", target: str = "host", **stored: Any
) -> BuiltNetwork:
    """Relu(x W + b) with W of 4 bits."""
    g = CompactGraph()
    x = g.normal(rows, depth)
    sums = g.node(
        "Add", [g.node("MatMul", ["x", g.nibbles(depth, columns, **stored)]), g.constant(g.normal(columns))]
    )
    return check(g.model({"x": x}, g.node("Relu", [sums])), {"x": x}, emit, target)


@settings(max_examples=25)
@given(
    rows=st.sampled_from((1, 2, 9, 33)),
    depth=st.integers(1, 80),
    columns=st.integers(1, 70),
    block=st.sampled_from((2, 7, 16, 32, 128)),
    dtype=st.sampled_from(("int4", "uint4")),
    zeros=st.booleans(),
)
def test_products_of_all_shapes(
    rows: int, depth: int, columns: int, block: int, dtype: str, zeros: bool
) -> None:
    """Odd depths, blocks that do not divide them, zero points: what has no kernel of its own is right too."""
    check_product(rows, depth, columns, block=block, dtype=dtype, zeros=zeros)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize(("emit", "target"), [("c", "host"), ("lib", "x86-64")])
def test_products_on_other_routes(emit: str, target: str, zeros: bool) -> None:
    check_product(3, 64, 33, emit, target, block=32, zeros=zeros)


def test_weights_of_4_bits_are_stored_in_4_bits() -> None:
    """And scales and the bias in float32."""
    built = check_product(2, 256, 128, block=32)
    sizes = sorted(array.nbytes for array in built.storage.program.weights.values())
    assert sizes == [128 * 4, 256 // 32 * 128 * 4, 256 * 128 // 2]
    assert built.storage.plan.arena_bytes == 0


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_with_scales_of_channels(transposed: int) -> None:
    """One scale a column is one block; weights [N, K] are read as they are."""
    g = CompactGraph()
    x = g.normal(3, 40)
    shape, axis = ((24, 40), 0) if transposed else ((40, 24), 1)
    y = g.node("Gemm", ["x", g.channels(*shape, axis=axis), g.constant(g.normal(24))], transB=transposed)
    built = check(g.model({"x": x}, y), {"x": x})
    assert len(built.storage.weights) < 40 * 24


def test_one_constant_for_two_products() -> None:
    g = CompactGraph()
    x = g.normal(3, 32)
    w = g.nibbles(32, 32, block=16)
    y = g.node("MatMul", [g.node("MatMul", ["x", w]), w])
    check(g.model({"x": x}, y), {"x": x})


def test_rows_of_a_table_of_4_bits() -> None:
    g = CompactGraph()
    index = np.array([[3, 0, 99]])
    y = g.node("Gather", [g.nibbles(100, 48, block=16, axis=1), "i"])
    built = check(g.model({"i": index}, y), {"i": index})
    assert len(built.storage.weights) < 100 * 48


def halves_network(g: CompactGraph) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Convolutions of all kinds, a table, products of matrices and of batches."""
    x, i = g.normal(1, 16, 9, 11), np.array([[5, 2, 7]])
    y = g.node("Conv", ["x", g.half(g.normal(24, 16, 3, 3)), g.constant(g.normal(24))], pads=[1, 1, 1, 1])
    y = g.node("Conv", [g.node("Relu", [y]), g.half(g.normal(24, 1, 5, 5))], group=24)
    y = g.node("Conv", [y, g.half(g.normal(32, 12, 1, 1))], group=2)
    y = g.node("ConvTranspose", [y, g.half(g.normal(32, 8, 3, 3))], strides=[2, 2])
    y = g.node("Reshape", [y, g.constant(np.array([1, 8, -1]))])
    y = g.node("MatMul", [y, g.half(g.normal(11 * 15, 20))])
    y = g.node("MatMul", [y, g.half(g.normal(8, 20, 16))])
    y = g.node("ReduceMean", [y, g.constant(np.array([1]))], keepdims=0)
    table = g.node(
        "ReduceMean",
        [g.node("Gather", [g.half(g.normal(40, 16)), "i"]), g.constant(np.array([1]))],
        keepdims=0,
    )
    y = g.node("Gemm", [g.node("Add", [y, table]), g.half(g.normal(33, 16))], transB=1)
    return g.model({"x": x, "i": i}, y), {"x": x, "i": i}


@pytest.mark.parametrize(("emit", "target"), [("lib", "host"), ("c", "host"), ("lib", "x86-64")])
def test_operators_read_float16(emit: str, target: str) -> None:
    message, feeds = halves_network(CompactGraph())
    built = check(message, feeds, emit, target)
    stored = built.storage.program.weights.values()
    wide = sum(array.nbytes for array in stored if array.dtype == np.float32)
    assert wide <= 4 * 24 + 64
    elements = sum(np.prod(tensor.dims) for tensor in message.graph.initializer if tensor.data_type == 10)
    # Columns are rounded up to whole vectors.
    assert sum(array.nbytes for array in stored) < 2.6 * elements
    kinds = {array.dtype.name for array in stored if array.size > 256}
    assert kinds == ({"float16"} if (emit, target) == ("lib", "host") else {"int16"})


def test_float16_that_is_not_finite_is_left_to_a_kernel_of_its_own() -> None:
    g = CompactGraph()
    x, w = g.normal(1, 32), g.normal(32, 16)
    w[3, 4] = np.inf
    message = g.model({"x": x}, g.node("MatMul", ["x", g.half(w)]))
    wanted = expected(message, {"x": x})
    model = optimize(as_model(message), find_target("host"))[0]
    with tempfile.TemporaryDirectory(prefix="edgecompile-test-") as name:
        built = build_network(model, "net", find_target("host"), "lib", Path(name))
        (result,) = call(link(built, Path(name)).net_run, built, model, [x])
    np.testing.assert_allclose(result, wanted, rtol=1e-5)


def test_a_constant_that_is_an_output_is_written() -> None:
    g = CompactGraph()
    x, w = g.normal(1, 4), g.normal(16, 32)
    message = g.model({"x": x}, g.half(w))
    built = optimize(as_model(message), find_target("host"))[0]
    assert [node.op_type for node in built.graph.graph] in (["Cast"], ["Identity"])
