"""Every change of shape is one Reshape."""

from __future__ import annotations

import pytest

from edgecompile.passes.rewrite_reshape import RewriteReshape
from tests.support.graphs import operators
from tests.support.passes import graph, proven, unchanged

INPUT = "float[2,3,1,4] x"


def ints(name: str, *numbers: int) -> str:
    return f"{name} = Constant <value = int64[{len(numbers)}] {{{','.join(map(str, numbers))}}}> ()"


REWRITTEN = {
    "flatten": ("6,4", "y = Flatten <axis = 3> (x)", ["Reshape"]),
    "squeeze": ("2,3,4", f"{ints('i', 2)} y = Squeeze (x, i)", ["Reshape"]),
    "squeeze all": ("2,3,4", "y = Squeeze (x)", ["Reshape"]),
    "unsqueeze": ("2,1,3,1,4", f"{ints('i', 1)} y = Unsqueeze (x, i)", ["Reshape"]),
    "transpose of ones": ("2,1,3,4", "y = Transpose <perm = [0,2,1,3]> (x)", ["Reshape"]),
    "two": ("24", f"{ints('s', 6, 4)} {ints('t', 24)} a = Reshape (x, s) y = Reshape (a, t)", ["Reshape"]),
    "three": (
        "24",
        f"{ints('i', 2)} a = Squeeze (x, i) b = Flatten (a) {ints('t', 24)} y = Reshape (b, t)",
        ["Reshape"],
    ),
    "there and back": (
        "2,3,1,4",
        f"{ints('i', 2)} a = Squeeze (x, i) b = Unsqueeze (a, i) y = Relu (b)",
        ["Relu"],
    ),
    "no change": ("2,3,1,4", f"{ints('s', 0, 3, -1, 4)} a = Reshape (x, s) y = Relu (a)", ["Relu"]),
    "reduction drops axes": (
        "2,1",
        f"{ints('i', -1, 1)} y = ReduceMax <keepdims = 0> (x, i)",
        ["ReduceMax", "Reshape"],
    ),
    "reduction of all": ("", "y = ReduceSum <keepdims = 0> (x)", ["ReduceSum", "Reshape"]),
    "gather one": (
        "2,1,4",
        "i = Constant <value = int64 {-1}> () y = Gather <axis = 1> (x, i)",
        ["Slice", "Reshape"],
    ),
}


@pytest.mark.parametrize(("shape", "body", "expected"), REWRITTEN.values(), ids=REWRITTEN)
def test_rewritten(shape: str, body: str, expected: list[str]) -> None:
    output = f"float[{shape}] y" if shape else "float y"
    result = proven(RewriteReshape(), graph(f"{INPUT} => {output}", body))
    assert operators(result.model) == expected


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
def test_index_of_extremum(operator: str) -> None:
    before = graph(f"{INPUT} => int64[2,1,4] y", f"y = {operator} <axis = 1, keepdims = 0> (x)")
    assert operators(proven(RewriteReshape(), before).model) == [operator, "Reshape"]


def test_value_read_twice_is_skipped_for_one_reader() -> None:
    body = f"a = Flatten (x) b = Relu (a) {ints('s', 24)} c = Reshape (a, s) y = Relu (c)"
    result = proven(RewriteReshape(), graph(f"{INPUT} => float[2,12] b, float[24] y", body))
    assert operators(result.model) == ["Reshape", "Relu", "Reshape", "Relu"]


KEPT = {
    "real transpose": ("2,4,1,3", "y = Transpose <perm = [0,3,2,1]> (x)"),
    "reduction keeps axes": ("2,3,1,1", f"{ints('i', 3)} y = ReduceMax (x, i)"),
    "no axes, no reduction": ("2,3,1,4", "y = ReduceMax <keepdims = 1, noop_with_empty_axes = 1> (x)"),
    "gather several": ("2,2,1,4", f"{ints('i', 2, 0)} y = Gather <axis = 1> (x, i)"),
    "output of an input": ("2,3,1,4", f"{ints('s', 2, 3, 1, 4)} y = Reshape (x, s)"),
}


@pytest.mark.parametrize(("shape", "body"), KEPT.values(), ids=KEPT)
def test_kept(shape: str, body: str) -> None:
    unchanged(RewriteReshape(), graph(f"{INPUT} => float[{shape}] y", body))


def test_gather_with_index_of_run_time_is_kept() -> None:
    unchanged(RewriteReshape(), graph(f"{INPUT}, int64 i => float[2,1,4] y", "y = Gather <axis = 1> (x, i)"))
