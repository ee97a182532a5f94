"""Transposes meet their inverse, through everything that can be permuted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.core.model import Model
from edgecompile.passes.cancel_transposes import CancelTransposes
from edgecompile.passes.edit import static_shape
from tests.support.graphs import run_proven
from tests.support.passes import graph, kinds, proven, unchanged, weights

DOWN, UP = "Transpose <perm = [0,3,1,2]>", "Transpose <perm = [0,2,3,1]>"
INTS = """
    one = Constant <value = int64[1] {1}> () three = Constant <value = int64[1] {3}> ()
    low = Constant <value = int64[2] {1,0}> () high = Constant <value = int64[2] {4,9}> ()
    ax = Constant <value = int64[2] {1,-1}> ()
    pads = Constant <value = int64[8] {0,1,0,2,0,1,3,0}> () sizes = Constant <value = int64[2] {2,4}> ()
    wide = Constant <value = int64[4] {2,6,4,5}> () times = Constant <value = int64[4] {1,2,1,3}> ()
    some = Constant <value = int64[2] {4,0}> () edge = Constant <value = int64 {1}> ()
"""
SHAPES = weights(c=(6, 1, 1), image=(1, 6, 4, 5), row=(5,), n=(), v=(6, 1, 1), m=(5, 5), g=(5,))

# x [2,4,5,6] -> t [2,6,4,5] -> these -> a -> y: everything happens between a Transpose and its inverse.
THROUGH = {
    "relu": ("2,4,5,6", "a = Relu (t)"),
    "per channel": ("2,4,5,6", "e = Mul (t, c) a = Add (e, image)"),
    "per column": ("2,4,5,6", "e = Mul (row, t) a = Sub (e, n)"),
    "clip": ("2,4,5,6", "a = Clip (t, n)"),
    "prelu": ("2,4,5,6", "a = PRelu (t, v)"),
    "where": ("2,4,5,6", "e = Greater (t, c) a = Where (e, t, n)"),
    "two branches": ("2,4,5,6", "e = Sigmoid (t) a = Mul (t, e)"),
    "concat": ("2,4,5,18", "e = Neg (t) f = Abs (t) a = Concat <axis = 1> (e, t, f)"),
    "concat, axis from the end": ("2,4,10,6", "e = Neg (t) a = Concat <axis = -1> (e, t)"),
    "softmax": ("2,4,5,6", "a = Softmax <axis = 1> (t)"),
    "log softmax": ("2,4,5,6", "a = LogSoftmax (t)"),
    "mean": ("2,4,5,1", "a = ReduceMean (t, one)"),
    "sum of squares": ("2,4,1,6", "a = ReduceSumSquare (t, three)"),
    "maximum of all": ("1,1,1,1", "a = ReduceMax (t)"),
    "slice": ("2,4,5,3", "a = Slice (t, low, high, ax)"),
    "slice of first axes": ("1,4,5,6", "a = Slice (t, low, high)"),
    "pad": ("2,4,10,7", "a = Pad (t, pads)"),
    "pad with axes": ("2,4,6,7", "a = Pad (t, pads4, , ax)"),
    "split": ("2,4,5,4", "e, f = Split <axis = 1> (t, sizes) a = Neg (f)"),
    "gather": ("2,4,5,2", "a = Gather <axis = 1> (t, some)"),
    "cumulative sum": ("2,4,5,6", "a = CumSum (t, edge)"),
    "tile": ("2,4,15,12", "a = Tile (t, times)"),
    "expand": ("2,4,5,6", "e = ReduceMax (t, one) a = Expand (e, wide)"),
    "cast": ("2,4,5,6", "e = Cast <to = 11> (t) f = Neg (e) a = Cast <to = 1> (f)"),
    "norm": ("2,4,5,6", "a = LpNormalization <axis = 1> (t)"),
    "operand of run time": ("2,4,5,6", "a = Add (t, z)"),
}


@pytest.mark.parametrize(("size", "nodes"), THROUGH.values(), ids=THROUGH)
def test_moves_through(size: str, nodes: str) -> None:
    pads4 = "pads4 = Constant <value = int64[4] {1,2,0,0}> ()"
    body = f"{INTS} {pads4} t = {DOWN} (x) {nodes} y = {UP} (a)"
    before = graph(f"float[2,4,5,6] x, float[6,1,1] z => float[{size}] y", body, SHAPES)
    assert "Transpose" not in kinds(proven(CancelTransposes(), before).model)


def test_index_of_maximum() -> None:
    body = f"t = {DOWN} (x) a = ArgMax <axis = 1> (t) y = {UP} (a)"
    assert kinds(proven(CancelTransposes(), graph("float[2,4,5,6] x => int64[2,4,5,1] y", body)).model) == [
        "ArgMax"
    ]


def test_product_with_weights() -> None:
    turn = "Transpose <perm = [0,2,1,3]>"
    body = f"t = {turn} (x) a = MatMul (t, m) e = LayerNormalization (a, g) y = {turn} (e)"
    result = proven(CancelTransposes(), graph("float[2,4,3,5] x => float[2,4,3,5] y", body, SHAPES))
    assert kinds(result.model) == ["MatMul", "LayerNormalization"]


def test_residual_network() -> None:
    """One transposed value feeds two branches, one of which is long."""
    body = f"t = {DOWN} (x) a = Relu (t) b = Neg (a) d = Add (b, t) e = Abs (d) f = Add (e, d) y = {UP} (f)"
    result = proven(CancelTransposes(), graph("float[2,4,5,6] x => float[2,4,5,6] y", body))
    assert "Transpose" not in kinds(result.model)


def test_sum_of_two_transposed_is_transposed_once() -> None:
    body = f"a = {DOWN} (x) b = {DOWN} (z) y = Add (a, b)"
    result = proven(CancelTransposes(), graph("float[2,4,5,6] x, float[2,4,5,6] z => float[2,6,4,5] y", body))
    assert kinds(result.model) == ["Add", "Transpose"]


def test_reduction_is_transposed_when_it_is_small() -> None:
    body = f"{INTS} t = {DOWN} (x) y = ReduceMean (t, three)"
    result = proven(CancelTransposes(), graph("float[2,4,5,6] x => float[2,6,4,1] y", body, SHAPES))
    assert kinds(result.model) == ["ReduceMean", "Transpose"]


JOINED = {
    "inverse": ("2,4,5,6", f"t = {DOWN} (x) u = {UP} (t) y = Relu (u)", 0),
    "twice": ("2,6,5,4", f"t = {DOWN} (x) y = Transpose <perm = [0,1,3,2]> (t)", 1),
    "axes of size one": (
        "1,2,5,6",
        "s = Constant <value = int64[4] {1,5,2,6}> () r = Reshape (w, s) y = Transpose <perm = "
        "[0,2,1,3]> (r)",
        1,
    ),
    "channel shuffle and layout": (
        "2,4,5,6",
        f"t = {DOWN} (x) s = Constant <value = int64[5] {{2,2,3,4,5}}> () r = Reshape (t, s) u = "
        f"Transpose <perm = [0,2,1,3,4]> (r) q = Constant <value = int64[4] {{2,6,4,5}}> () p = "
        f"Reshape (u, q) y = {UP} (p)",
        1,
    ),
}


@pytest.mark.parametrize(("size", "body", "left"), JOINED.values(), ids=JOINED)
def test_joined(size: str, body: str, left: int) -> None:
    before = graph(f"float[2,4,5,6] x, float[5,12] w => float[{size}] y", body)
    assert kinds(proven(CancelTransposes(), before).model).count("Transpose") == left


def test_single_transpose_is_kept() -> None:
    unchanged(
        CancelTransposes(), graph("float[2,4,5,6] x => float[2,6,4,5] y", f"a = Relu (x) y = {DOWN} (a)")
    )


def test_transpose_between_products_is_kept() -> None:
    body = "a = MatMul (x, m) t = Transpose <perm = [1,0]> (a) y = MatMul (t, x)"
    unchanged(CancelTransposes(), graph("float[5,5] x => float[5,5] y", body, SHAPES))


def test_outputs_keep_their_names_and_order() -> None:
    body = f"t = {DOWN} (x) a = Relu (t) y = {UP} (a)"
    before = graph("float[2,4,5,6] x => float[2,6,4,5] a, float[2,4,5,6] y", body)
    result = CancelTransposes()(before)
    assert [value.name for value in result.model.graph.graph.outputs] == ["a", "y"]


def test_branches_that_read_from_outside() -> None:
    body = f"""
        t = {DOWN} (x) a = Relu (t) u = {UP} (a)
        c = If (b) <
            then_branch = one () => (float[2,6,4,5] p) {{ p = Neg (a) }},
            else_branch = two () => (float[2,6,4,5] q) {{ q = Abs (a) }}
        >
        d = {UP} (c) y = Add (d, u)
    """
    before = graph("float[2,4,5,6] x, bool b => float[2,4,5,6] y", body)
    assert run_proven(CancelTransposes(), before).modified


def moved_elements(model: Model) -> int:
    nodes = [node for node in model.graph.graph if node.op_type == "Transpose"]
    return sum(math.prod(static_shape(node.outputs[0]) or ()) for node in nodes)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_graphs_stay_the_same_and_move_no_more(data: st.DataObject) -> None:
    """Values of rank 3 with all axes of size 4, so that every operator fits every value."""
    names, nodes = ["x"], []
    for index in range(data.draw(st.integers(2, 8))):
        operator = data.draw(
            st.sampled_from(["Transpose", "Transpose", "Relu", "Add", "Softmax", "Mul", "Scale"])
        )
        first, second = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
        perm = data.draw(st.permutations(range(3)))
        nodes.append(
            {
                "Transpose": f"a{index} = Transpose <perm = {list(perm)}> ({first})",
                "Relu": f"a{index} = Relu ({first})",
                "Add": f"a{index} = Add ({first}, {second})",
                "Mul": f"a{index} = Mul ({first}, {second})",
                "Scale": f"a{index} = Mul ({first}, k)",
                "Softmax": f"a{index} = Softmax <axis = {perm[0]}> ({first})",
            }[operator]
        )
        names.append(f"a{index}")
    outputs = sorted({names[-1], data.draw(st.sampled_from(names[1:]))})
    signature = "float[4,4,4] x => " + ", ".join(f"float[4,4,4] {name}" for name in outputs)
    before = graph(signature, " ".join(nodes), weights(k=(4, 1)))
    price = moved_elements(before)
    after = run_proven(CancelTransposes(), before).model
    assert moved_elements(after) <= price
