"""The whole list of graph passes on networks that need most of them."""

from __future__ import annotations

import pytest

from edgecompile.core.fused import Layout
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.optimize import graph_passes
from edgecompile.passes.prove import Prover
from tests.support.passes import check_types, graph, kinds, weights

NORM = "BatchNormalization ({}, s, t, m, v)"
BLOCK = "{1} = Conv <pads = [1,1,1,1]> ({0}, w) {1}n = " + NORM.format("{1}") + " {1}r = Relu ({1}n)"
CNN = (
    "pads = Constant <value = int64[8] {0,0,1,1,0,0,1,1}> () p = Pad (x, pads) "
    "a = Conv (p, first) an = " + NORM.format("a") + " ar = Relu (an) "
    f"{BLOCK.format('ar', 'b')} {BLOCK.format('br', 'c')} d = Add (cr, ar) "
    "i = Constant <value = int64[2] {2,3}> () g = ReduceMean <keepdims = 0> (d, i) "
    "h = MatMul (g, k) y = Add (h, l)"
)
SHAPES = weights(
    first=(8, 3, 3, 3), w=(8, 8, 3, 3), s=(8,), t=(8,), m=(8,), v=(8,), k=(8, 5), l=(5,), f=(512, 5)
)


def optimized(before: Model, layout: Layout) -> Model:
    reference = before.copy()
    after, records = Pipeline(graph_passes(layout)).run(before, Prover())
    assert Prover(samples=2)(reference, after) < 1e-5
    check_types(after)
    assert all(record.notes for record in records if record.modified)
    again, more = Pipeline(graph_passes(layout)).run(after.copy())
    assert [record.name for record in more if record.modified] == []
    assert again.to_bytes() == after.to_bytes()
    return after


def test_residual_network_channels_last() -> None:
    after = optimized(graph("float[1,3,16,16] x => float[1,5] y", CNN, SHAPES), "nhwc")
    blocks = ["ConvNhwcRelu"] * 3
    assert kinds(after) == ["Transpose", *blocks, "Add", "GlobalAveragePoolNhwc", "Gemm"]


def test_residual_network_channels_first() -> None:
    after = optimized(graph("float[1,3,16,16] x => float[1,5] y", CNN, SHAPES), "nchw")
    assert kinds(after) == ["ConvRelu"] * 3 + ["Add", "GlobalAveragePool", "Gemm"]


def test_flattened_image_needs_no_transpose() -> None:
    body = "a = Conv <pads = [1,1,1,1]> (x, first) b = Flatten (a) y = Gemm (b, f, l)"
    after = optimized(graph("float[1,3,8,8] x => float[1,5] y", body, SHAPES), "nhwc")
    assert kinds(after) == ["Transpose", "ConvNhwc", "Gemm"]


def test_shuffled_channels_need_no_transpose() -> None:
    shuffle = """
        view = Constant <value = int64[5] {1,4,2,8,8}> () flat = Constant <value = int64[4] {1,8,8,8}> ()
        b = Reshape (a, view) c = Transpose <perm = [0,2,1,3,4]> (b) e = Reshape (c, flat)
    """
    body = f"a = Conv <pads = [1,1,1,1]> (x, first) {shuffle} y = Conv <pads = [1,1,1,1]> (e, w)"
    after = optimized(graph("float[1,3,8,8] x => float[1,8,8,8] y", body, SHAPES), "nhwc")
    assert kinds(after) == ["Transpose", "ConvNhwc", "Transpose", "ConvNhwc", "Transpose"]


def test_upsampling_by_channels_is_one_transpose() -> None:
    body = (
        "a = Conv <pads = [1,1,1,1]> (x, first) b = DepthToSpace <blocksize = 2> (a) "
        "y = Conv <pads = [1,1,1,1]> (b, last)"
    )
    shapes = weights(first=(8, 3, 3, 3), last=(4, 2, 3, 3))
    after = optimized(graph("float[1,3,8,8] x => float[1,4,16,16] y", body, shapes), "nhwc")
    assert kinds(after) == ["Transpose", "ConvNhwc", "Transpose", "ConvNhwc", "Transpose"]


def test_equal_models_become_equal_bytes() -> None:
    results = []
    for _ in range(2):
        model = graph("float[1,3,16,16] x => float[1,5] y", CNN, SHAPES)
        results.append(Pipeline(graph_passes("nhwc")).run(model)[0].to_bytes())
    assert results[0] == results[1]


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_names_of_passes_are_those_of_their_files(layout: Layout) -> None:
    for step in graph_passes(layout):
        assert type(step).__module__ == f"edgecompile.passes.{step.name}"
