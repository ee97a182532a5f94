"""Scales and shifts go into weights, where that gives the same network."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.fold_batch_norm import FoldBatchNorm
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

NORM = "BatchNormalization <epsilon = 0.01> ({0}, s, t, m, v)"
CHANNELS = {"s": (4,), "t": (4,), "m": (4,), "v": (4,)}


def image(body: str, output: str = "float[1,4,8,8] y", **shapes: tuple[int, ...]):  # type: ignore[no-untyped-def]
    return graph(f"float[1,4,8,8] x => {output}", body, weights(**CHANNELS, **shapes))


FOLDED = {
    "after conv": ("a = Conv <pads = [1,1,1,1]> (x, w, b) y = " + NORM.format("a"), ["Conv"]),
    "after conv without bias": ("a = Conv <pads = [1,1,1,1]> (x, w) y = " + NORM.format("a"), ["Conv"]),
    "before conv": ("a = " + NORM.format("x") + " y = Conv (a, w1, b)", ["Conv"]),
    "scale before padded conv": ("a = Mul (x, c) y = Conv <pads = [1,1,1,1]> (a, w)", ["Conv"]),
    "affine after conv": ("a = Conv (x, w1) e = Mul (a, c) f = Add (e, c) y = Div (f, c)", ["Conv"]),
    "scalar before conv": ("a = Mul (x, n) e = Add (a, n) y = Conv (e, w1, b)", ["Conv"]),
    "alone": ("y = " + NORM.format("x"), ["Mul", "Add"]),
    "between activations": (
        "a = Relu (x) e = " + NORM.format("a") + " y = Relu (e)",
        ["Relu", "Mul", "Add", "Relu"],
    ),
}


@pytest.mark.parametrize(("body", "expected"), FOLDED.values(), ids=FOLDED)
def test_folded(body: str, expected: list[str]) -> None:
    before = image(body, w=(4, 4, 3, 3), w1=(4, 4, 1, 1), b=(4,), c=(4, 1, 1), n=())
    assert kinds(proven(FoldBatchNorm(), before).model) == expected


# Each looks like the above, and folding would be wrong or useless.
KEPT = {
    "shift before padded conv": "a = Add (x, c) y = Conv <pads = [1,1,1,1]> (a, w)",
    "conv result is read twice": "a = Conv <pads = [1,1,1,1]> (x, w) e = Mul (a, c) y = Sub (e, a)",
    "scaled value is read twice": "a = Mul (x, c) e = Conv <pads = [1,1,1,1]> (a, w) y = Sub (e, a)",
    "scale along another axis": "a = Conv <pads = [1,1,1,1]> (x, w) y = Mul (a, along_w)",
    "scale computed at run time": "r = GlobalMaxPool (x) a = Conv <pads = [1,1,1,1]> (x, w) y = Mul (a, r)",
    "shift that enlarges": "a = Conv (x, to_one) y = Add (a, c)",
    "division by zero": "z = Constant <value = float {0}> () a = Conv <pads = [1,1,1,1]> (x, w) y = "
    "Div (a, z)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(FoldBatchNorm(), image(body, w=(4, 4, 3, 3), c=(4, 1, 1), along_w=(8,), to_one=(1, 4, 1, 1)))


def test_graph_output_in_between_is_kept() -> None:
    body = "a = Conv (x, w1) y = Mul (a, c)"
    unchanged(
        FoldBatchNorm(), image(body, "float[1,4,8,8] a, float[1,4,8,8] y", w1=(4, 4, 1, 1), c=(4, 1, 1))
    )


def test_training_mode_is_kept() -> None:
    body = "y, p, q = BatchNormalization <training_mode = 1> (x, s, t, m, v)"
    unchanged(FoldBatchNorm(), image(body, "float[1,4,8,8] y, float[4] p, float[4] q"))


@settings(max_examples=25, deadline=None)
@given(
    groups=st.sampled_from([1, 2, 4]),
    before=st.booleans(),
    transposed=st.booleans(),
    kernel=st.integers(1, 3),
    length=st.integers(3, 6),
)
def test_groups_and_transposed_convolutions(
    groups: int, before: bool, transposed: bool, kernel: int, length: int
) -> None:
    operator = "ConvTranspose" if transposed and not before else "Conv"
    conv = operator + f" <group = {groups}> ({{0}}, w, b)"
    steps = [NORM, conv] if before else [conv, NORM]
    body = f"a = {steps[0].format('x')} y = {steps[1].format('a')}"
    size = length + (kernel - 1) * (1 if operator == "ConvTranspose" else -1)
    shapes = weights(**CHANNELS, w=(4, 4 // groups, kernel), b=(4,))
    model = graph(f"float[2,4,{length}] x => float[2,4,{size}] y", body, shapes)
    assert kinds(proven(FoldBatchNorm(), model).model) == [operator]


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm(transposed: int) -> None:
    shape = (3, 4) if transposed else (4, 3)
    body = f"a = Mul (x, c) e = Gemm <transB = {transposed}> (a, w, b) f = Mul (e, d) y = Add (f, d)"
    shapes = weights(c=(4,), w=shape, b=(3,), d=(1, 3))
    result = proven(FoldBatchNorm(), graph("float[2,4] x => float[2,3] y", body, shapes))
    assert kinds(result.model) == ["Gemm"]


def test_layer_keeps_its_name() -> None:
    before = image("a = Conv (x, w1) y = " + NORM.format("a"), w1=(4, 4, 1, 1))
    name = node_of(before, "Conv").name
    after = FoldBatchNorm()(before).model
    assert node_of(after, "Conv").name == name
    assert len(after.graph.graph.initializers) == 2
