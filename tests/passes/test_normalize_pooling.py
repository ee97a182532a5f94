"""Pools over all positions are global pools."""

from __future__ import annotations

import pytest

from edgecompile.passes.normalize_pooling import NormalizePooling
from tests.support.passes import graph, kinds, proven, unchanged

AXES = "i = Constant <value = int64[2] {-1, 2}> ()"
CHANGED = {
    "mean": ("GlobalAveragePool", f"{AXES} y = ReduceMean (x, i)"),
    "maximum": ("GlobalMaxPool", f"{AXES} y = ReduceMax (x, i)"),
    "average pool": ("GlobalAveragePool", "y = AveragePool <kernel_shape = [4,5]> (x)"),
    "average pool with strides": (
        "GlobalAveragePool",
        "y = AveragePool <kernel_shape = [4,5], strides = [4,5]> (x)",
    ),
    "max pool": ("GlobalMaxPool", "y = MaxPool <kernel_shape = [4,5]> (x)"),
}


@pytest.mark.parametrize(("expected", "body"), CHANGED.values(), ids=CHANGED)
def test_changed(expected: str, body: str) -> None:
    result = proven(NormalizePooling(), graph("float[2,3,4,5] x => float[2,3,1,1] y", body))
    assert kinds(result.model) == [expected]


KEPT = {
    "one axis": ("2,3,4,5", "2,3,4,1", "i = Constant <value = int64[1] {3}> () y = ReduceMean (x, i)"),
    "channels too": (
        "2,3,4,5",
        "2,1,1,1",
        "i = Constant <value = int64[3] {1,2,3}> () y = ReduceMean (x, i)",
    ),
    "axes dropped": ("2,3,4,5", "2,3", f"{AXES} y = ReduceMean <keepdims = 0> (x, i)"),
    "features": ("2,3,4", "2,3,1", "i = Constant <value = int64[1] {2}> () y = ReduceMean (x, i)"),
    "several windows": ("2,3,4,5", "2,3,1,2", "y = AveragePool <kernel_shape = [4,4]> (x)"),
    "padded": ("2,3,4,5", "2,3,3,1", "y = AveragePool <kernel_shape = [4,5], pads = [1,0,1,0]> (x)"),
    "sum": ("2,3,4,5", "2,3,1,1", f"{AXES} y = ReduceSum (x, i)"),
}


@pytest.mark.parametrize(("size", "result", "body"), KEPT.values(), ids=KEPT)
def test_kept(size: str, result: str, body: str) -> None:
    unchanged(NormalizePooling(), graph(f"float[{size}] x => float[{result}] y", body))


def test_max_pool_with_indices_is_kept() -> None:
    body = "y, j = MaxPool <kernel_shape = [4,5]> (x)"
    before = graph("float[2,3,4,5] x => float[2,3,1,1] y, int64[2,3,1,1] j", body)
    unchanged(NormalizePooling(), before)
