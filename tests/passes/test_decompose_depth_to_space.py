"""Rearrangements of pixels are transposes, and merge like them."""

from __future__ import annotations

import pytest

from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.cancel_transposes import CancelTransposes
from edgecompile.passes.decompose_depth_to_space import DecomposeDepthToSpace
from tests.support.graphs import operators
from tests.support.passes import graph, kinds, proven, unchanged

BODIES = {
    "DCR": ("2,3,8,12", "y = DepthToSpace <blocksize = 2> (x)"),
    "CRD": ("2,3,8,12", 'y = DepthToSpace <blocksize = 2, mode = "CRD"> (x)'),
    "space to depth": ("2,48,2,3", "y = SpaceToDepth <blocksize = 2> (x)"),
    "block of one": ("2,12,4,6", "y = DepthToSpace <blocksize = 1> (x)"),
}


@pytest.mark.parametrize(("size", "body"), BODIES.values(), ids=BODIES)
def test_decomposed(size: str, body: str) -> None:
    before = graph(f"float[2,12,4,6] x => float[{size}] y", body)
    assert operators(proven(DecomposeDepthToSpace(), before).model) == ["Reshape", "Transpose", "Reshape"]


def test_there_and_back() -> None:
    body = "a = SpaceToDepth <blocksize = 2> (x) b = DepthToSpace <blocksize = 2> (a) y = Relu (b)"
    before = graph("float[2,12,4,6] x => float[2,12,4,6] y", body)
    after, _ = Pipeline([DecomposeDepthToSpace(), CancelTransposes()]).run(before)
    assert kinds(after) == ["Relu"]


def test_others_are_kept() -> None:
    body = "y = Transpose <perm = [0,2,3,1]> (x)"
    unchanged(DecomposeDepthToSpace(), graph("float[2,12,4,6] x => float[2,4,6,12] y", body))
