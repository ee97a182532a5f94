"""Padding goes into convolutions and pools, where they pad with the same value."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.fuse_pad import FusePad
from tests.support.passes import graph, kinds, node_of, proven, unchanged, weights

PADS = "p = Constant <value = int64[8] {0,0,1,2,0,0,2,1}> ()"
AXES = "p = Constant <value = int64[4] {1,2,2,1}> () ax = Constant <value = int64[2] {2,-1}> ()"
LOW = "c = Constant <value = float {-inf}> ()"
POOL = "<kernel_shape = [3,3], strides = [2,2]>"

FUSED = {
    "conv": f"{PADS} a = Pad (x, p) y = Conv (a, w)",
    "conv, value given": f"{PADS} z = Constant <value = float {{0}}> () a = Pad (x, p, z) y = Conv (a, w)",
    "conv, axes given": f"{AXES} a = Pad (x, p, , ax) y = Conv (a, w)",
    "average pool": f"{PADS} a = Pad (x, p) y = AveragePool {POOL} (a)",
    "max pool, minus infinity": f"{PADS} {LOW} a = Pad (x, p, c) y = MaxPool {POOL} (a)",
    "max pool after relu": f"{PADS} r = Relu (x) a = Pad (r, p) y = MaxPool {POOL} (a)",
    "max pool after clip": f"{PADS} l = Constant <value = float {{0}}> () r = Clip (x, l) a = Pad "
    f"(r, p) y = MaxPool {POOL} (a)",
}


@pytest.mark.parametrize("body", FUSED.values(), ids=FUSED)
def test_fused(body: str) -> None:
    size = "2,4,9,9" if "Conv" in body else "2,3,5,5"
    before = graph(f"float[2,3,8,8] x => float[{size}] y", body, weights(w=(4, 3, 3, 3)))
    assert "Pad" not in kinds(proven(FusePad(), before).model)


def test_pads_add_up() -> None:
    body = f"{PADS} a = Pad (x, p) y = Conv <pads = [1,1,1,1]> (a, w)"
    result = proven(FusePad(), graph("float[2,3,8,8] x => float[2,4,11,11] y", body, weights(w=(4, 3, 3, 3))))
    assert list(node_of(result.model, "Conv").attributes.get_ints("pads", ())) == [2, 3, 3, 2]


def test_two_convolutions_share_a_pad() -> None:
    body = f"{PADS} a = Pad (x, p) y = Conv (a, w) z = Conv (a, w)"
    outputs = "float[2,4,9,9] y, float[2,4,9,9] z"
    result = proven(FusePad(), graph(f"float[2,3,8,8] x => {outputs}", body, weights(w=(4, 3, 3, 3))))
    assert kinds(result.model) == ["Conv", "Conv"]


KEPT = {
    "conv, another value": (
        "2,4,9,9",
        f"{PADS} c = Constant <value = float {{1}}> () a = Pad (x, p, c) y = Conv (a, w)",
    ),
    "conv, reflected": ("2,4,9,9", f'{PADS} a = Pad <mode = "reflect"> (x, p) y = Conv (a, w)'),
    "conv, cut": (
        "2,4,5,7",
        "p = Constant <value = int64[8] {0,0,-1,1,0,0,0,0}> () a = Pad (x, p) y = Conv (a, w)",
    ),
    "conv, channels padded": (
        "2,4,6,6",
        "p = Constant <value = int64[8] {0,1,0,0,0,0,0,0}> () a = Pad (x, p) y = Conv (a, w4)",
    ),
    "max pool, zero": ("2,3,5,5", f"{PADS} a = Pad (x, p) y = MaxPool {POOL} (a)"),
    "max pool after clip to negative": (
        "2,3,5,5",
        f"{PADS} l = Constant <value = float {{-1}}> () r = Clip (x, l) a = Pad (r, p) y = MaxPool "
        f"{POOL} (a)",
    ),
    "max pool, wide": (
        "2,3,10,9",
        f"p = Constant <value = int64[8] {{0,0,2,1,0,0,2,1}}> () {LOW} a = Pad (x, p, c) y = "
        f"MaxPool <kernel_shape = [2,2]> (a)",
    ),
    "average pool that ignores its padding": (
        "2,3,6,6",
        f"{PADS} a = Pad (x, p) y = AveragePool <kernel_shape = [3,3], strides = [2,2], pads = "
        f"[1,1,1,1]> (a)",
    ),
    "average pool, ceil mode": (
        "2,3,5,5",
        f"{PADS} a = Pad (x, p) y = AveragePool <kernel_shape = [3,3], strides = [2,2], ceil_mode = 1> (a)",
    ),
}


@pytest.mark.parametrize(("size", "body"), KEPT.values(), ids=KEPT)
def test_kept(size: str, body: str) -> None:
    shapes = weights(w=(4, 3, 3, 3), w4=(4, 4, 3, 3))
    unchanged(FusePad(), graph(f"float[2,3,8,8] x => float[{size}] y", body, shapes))


@settings(max_examples=25, deadline=None)
@given(
    pads=st.tuples(*[st.integers(0, 2)] * 2).filter(any),
    own=st.integers(0, 1),
    stride=st.integers(1, 3),
    counted=st.booleans(),
)
def test_average_pools(pads: tuple[int, int], own: int, stride: int, counted: bool) -> None:
    size = (9 + sum(pads) + 2 * own - 3) // stride + 1
    body = (
        f"p = Constant <value = int64[6] {{0,0,{pads[0]},0,0,{pads[1]}}}> () a = Pad (x, p) "
        f"y = AveragePool <kernel_shape = [3], strides = [{stride}], pads = [{own},{own}], "
        f"count_include_pad = {int(counted)}> (a)"
    )
    before = graph(f"float[1,2,9] x => float[1,2,{size}] y", body)
    fits = max(pads) + own < 3 and (counted or not own)
    if fits:
        assert kinds(proven(FusePad(), before).model) == ["AveragePool"]
    else:
        unchanged(FusePad(), before)
