"""Activations become part of what they follow, as functions that onnxruntime executes."""

from __future__ import annotations

import pytest

from edgecompile.core.fused import ACTIVATIONS, DOMAIN, activation_attributes
from edgecompile.passes.fuse_activation import FuseActivation
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

BOUNDS = "l = Constant <value = float {0}> () h = Constant <value = float {6}> ()"
SHAPES = weights(w=(4, 3, 3, 3), t=(3, 4, 2, 2), k=(8, 5), b=(4,), f=(5,))

BASES = {
    "Conv": ("float[1,3,8,8] x => float[1,4,8,8] y", "a = Conv <pads = [1,1,1,1]> (x, w, b)"),
    "ConvTranspose": ("float[1,3,4,4] x => float[1,4,8,8] y", "a = ConvTranspose <strides = [2,2]> (x, t)"),
    "Gemm": ("float[2,8] x => float[2,5] y", "a = Gemm <alpha = 0.5> (x, k, f)"),
    "MatMul": ("float[1,2,8] x => float[1,2,5] y", "a = MatMul (x, k)"),
    "Add": ("float[2,5] x => float[2,5] y", "a = Add (x, f)"),
    "MaxPool": (
        "float[1,3,8,8] x => float[1,3,4,4] y",
        "a = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)",
    ),
    "AveragePool": ("float[1,3,8,8] x => float[1,3,7,7] y", "a = AveragePool <kernel_shape = [2,2]> (x)"),
    "GlobalAveragePool": ("float[1,3,8,8] x => float[1,3,1,1] y", "a = GlobalAveragePool (x)"),
}


@pytest.mark.parametrize("base", BASES)
def test_bases(base: str) -> None:
    signature, body = BASES[base]
    before = graph(signature, f"{body} {BOUNDS} y = Clip (a, l, h)", SHAPES)
    name = node_of(before, base).name
    after = proven(FuseActivation(), before).model
    (node,) = after.graph.graph
    assert (node.domain, node.op_type, node.name) == (DOMAIN, f"{base}Clip", name)
    assert activation_attributes(node) == {"min": 0.0, "max": 6.0}
    assert list(after.graph.functions) == [(DOMAIN, f"{base}Clip", "")]


@pytest.mark.parametrize("activation", [name for name in ACTIVATIONS if name != "Clip"])
def test_activations(activation: str) -> None:
    before = graph("float[2,5] x => float[2,5] y", f"a = Add (x, f) y = {activation} (a)", SHAPES)
    assert kinds(proven(FuseActivation(), before).model) == [f"Add{activation}"]


def test_parameters_of_the_activation_are_kept() -> None:
    body = "a = Gemm <alpha = 0.5> (x, k) y = LeakyRelu <alpha = 0.25> (a)"
    after = proven(FuseActivation(), graph("float[2,8] x => float[2,5] y", body, SHAPES)).model
    node = node_of(after, "GemmLeakyRelu")
    assert node.attributes.get_float("alpha") == 0.5
    assert activation_attributes(node) == {"alpha": 0.25}


def test_clip_with_one_bound() -> None:
    body = f"{BOUNDS} a = Add (x, f) y = Clip (a, , h)"
    after = proven(FuseActivation(), graph("float[2,5] x => float[2,5] y", body, SHAPES)).model
    assert activation_attributes(node_of(after, "AddClip")) == {"min": float("-inf"), "max": 6.0}


def test_half_precision() -> None:
    body = "l = Constant <value = float16 {0}> () a = Add (x, x) y = Clip (a, l)"
    assert kinds(proven(FuseActivation(), graph("float16[4] x => float16[4] y", body)).model) == ["AddClip"]


KEPT = {
    "read twice": "a = Add (x, f) e = Relu (a) y = Mul (a, e)",
    "not in front": "a = Mul (x, f) y = Relu (a)",
    "bound at run time": "a = Add (x, f) m = ReduceMax <keepdims = 0> (x) y = Clip (a, , m)",
    "not directly behind": "a = Add (x, f) e = Mul (a, a) y = Relu (e)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(FuseActivation(), graph("float[2,5] x => float[2,5] y", body, SHAPES))


def test_graph_output_in_between_is_kept() -> None:
    before = graph("float[2,5] x => float[2,5] a, float[2,5] y", "a = Add (x, f) y = Relu (a)", SHAPES)
    unchanged(FuseActivation(), before)


def test_integers_are_kept() -> None:
    unchanged(FuseActivation(), graph("int32[4] x => int32[4] y", "a = Add (x, x) y = Relu (a)"))


def test_only_one_activation_is_fused() -> None:
    body = "a = Add (x, f) e = Relu (a) y = Tanh (e)"
    after = proven(FuseActivation(), graph("float[2,5] x => float[2,5] y", body, SHAPES)).model
    assert kinds(after) == ["AddRelu", "Tanh"]
