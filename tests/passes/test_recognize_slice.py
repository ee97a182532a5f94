"""Selections from a transposed view are slices of the original."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgecompile.passes.recognize_slice import RecognizeSlice
from edgecompile.passes.rewrite_reshape import RewriteReshape
from tests.support.passes import graph, kinds, node_of, proven, unchanged


def select(view: list[int], perm: list[int], axis: int, index: int) -> tuple[str, str]:
    """Nodes that take `index` of `axis` after Reshape to `view` and Transpose; the shape that is left."""
    moved = [view[i] for i in perm]
    left = ",".join(str(size) for i, size in enumerate(moved) if i != axis)
    names = {"s": view, "b": [index], "e": [index + 1], "i": [axis]}
    constants = " ".join(
        f"{name} = Constant <value = int64[{len(numbers)}] {{{','.join(map(str, numbers))}}}> ()"
        for name, numbers in names.items()
    )
    nodes = f"a = Reshape (x, s) t = Transpose <perm = {perm}> (a) c = Slice (t, b, e, i) y = Squeeze (c, i)"
    return f"{constants} {nodes}", left


def test_channel_shuffle() -> None:
    body, left = select([3, 2, 20], [1, 0, 2], 0, 1)
    result = proven(RecognizeSlice(), graph(f"float[1,6,4,5] x => float[{left}] y", body))
    assert kinds(result.model) == ["Slice", "Squeeze"]
    bounds = [value.const_value.numpy().tolist() for value in node_of(result.model, "Slice").inputs[1:]]  # type: ignore[union-attr]
    assert bounds == [[1], [6], [1], [2]]


def test_outer_factor() -> None:
    body, left = select([4, 3, 5], [1, 0, 2], 0, 2)
    result = proven(RecognizeSlice(), graph(f"float[4,15] x => float[{left}] y", body))
    assert "Transpose" not in kinds(result.model)


@pytest.mark.parametrize(
    ("shape", "view", "perm"),
    [
        ("1,12,4", [2, 3, 2, 4], [1, 0, 2, 3]),  # a factor in the middle of an axis
        ("2,6,4", [2, 3, 2, 4], [2, 0, 3, 1]),  # the rest is still transposed
    ],
)
def test_kept(shape: str, view: list[int], perm: list[int]) -> None:
    body, left = select(view, perm, 0, 1)
    before = RewriteReshape()(graph(f"float[{shape}] x => float[{left}] y", body)).model
    unchanged(RecognizeSlice(), before)


def test_slice_of_several_is_kept() -> None:
    body, _ = select([3, 4, 5], [1, 0, 2], 0, 1)
    body = body.replace("{2}", "{3}").replace("y = Squeeze (c, i)", "y = Relu (c)")
    unchanged(RecognizeSlice(), graph("float[12,5] x => float[2,3,5] y", body))


@settings(max_examples=40, deadline=None)
@given(view=st.lists(st.integers(1, 4), min_size=2, max_size=4), data=st.data())
def test_any_view(view: list[int], data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(len(view))))
    axis = data.draw(st.integers(0, len(view) - 1))
    assume(view[perm[axis]] > 1)
    index = data.draw(st.integers(0, view[perm[axis]] - 1))
    join = data.draw(st.integers(1, len(view) - 1))
    root = [*view[: join - 1], view[join - 1] * view[join], *view[join + 1 :]]
    body, left = select(list(view), list(perm), axis, index)
    result = RecognizeSlice()(graph(f"float[{','.join(map(str, root))}] x => float[{left}] y", body))
    if result.modified:
        proven(RecognizeSlice(), graph(f"float[{','.join(map(str, root))}] x => float[{left}] y", body))
        assert "Transpose" not in kinds(result.model)
