"""The algebra of Reshape and Transpose, against numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.movement import Movement, direct_permutation, emit, permutation_last, trace
from tests.support.passes import graph, node_of

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def apply(moved: Movement, array: np.ndarray) -> np.ndarray:
    return array.reshape(moved.atoms).transpose(moved.order).reshape(moved.shape)


@st.composite
def chains(draw: st.DrawFn) -> tuple[tuple[int, ...], list[tuple[str, tuple[int, ...]]]]:
    """A shape and steps: transposes, and reshapes that join or split axes."""
    shape = root = draw(SHAPES)
    steps: list[tuple[str, tuple[int, ...]]] = []
    for _ in range(draw(st.integers(1, 4))):
        if draw(st.booleans()):
            perm = tuple(draw(st.permutations(range(len(shape)))))
            steps.append(("transpose", perm))
            shape = tuple(shape[axis] for axis in perm)
            continue
        axis = draw(st.integers(0, len(shape) - 1))
        size = shape[axis]
        divisor = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
        joined = math.prod(shape[axis : axis + 2])
        choices = [(*shape[:axis], divisor, size // divisor, *shape[axis + 1 :])]
        choices.append((*shape[:axis], joined, *shape[axis + 2 :]))
        shape = draw(st.sampled_from(choices))
        steps.append(("reshape", shape))
    return root, steps


@given(chains())
def test_chain_is_one_movement(chain: tuple[tuple[int, ...], list[tuple[str, tuple[int, ...]]]]) -> None:
    shape, steps = chain
    expected = array = np.arange(math.prod(shape)).reshape(shape)
    moved: Movement | None = Movement.of(shape)
    for kind, numbers in steps:
        expected = expected.reshape(numbers) if kind == "reshape" else expected.transpose(numbers)
        if moved is not None:
            moved = moved.reshape(numbers) if kind == "reshape" else moved.transpose(numbers)
    if moved is None:  # some axis is no product of what there is
        return
    assert np.array_equal(apply(moved, array.ravel()), expected)
    assert moved.is_reshape == np.array_equal(expected.ravel(), array.ravel())
    for steps_of in (direct_permutation(shape, moved), permutation_last(moved)):
        if steps_of is not None:
            read, perm, result = steps_of
            assert np.array_equal(array.reshape(read).transpose(perm), expected.reshape(result))


@given(SHAPES, st.data())
def test_transposes_always_compose(shape: tuple[int, ...], data: st.DataObject) -> None:
    moved: Movement | None = Movement.of(shape)
    for _ in range(3):
        assert moved is not None
        moved = moved.transpose(data.draw(st.permutations(range(len(shape)))))
    assert moved is not None


def test_factors_that_do_not_align() -> None:
    assert Movement.of((4, 9)).transpose((1, 0)).reshape((6, 6)).transpose((1, 0)) is None  # type: ignore[union-attr]


def test_examples_of_the_documentation() -> None:
    shuffle = Movement.of((1, 6, 5)).reshape((2, 3, 5)).transpose((1, 0, 2))
    assert shuffle == Movement((2, 3, 5), (1, 0, 2), (3, 2, 5))
    assert Movement.of((2, 3, 4)).transpose((2, 0, 1)) == Movement((6, 4), (1, 0), (4, 2, 3))


EMITTED = [
    ("2,3,4,5", "[0,2,3,1]", "2,4,5,3", ["Transpose"]),
    ("1,3,4,1", "[3,2,1,0]", "1,4,3,1", ["Transpose"]),
    ("2,3,1,1", "[0,2,3,1]", "2,1,1,3", ["Reshape"]),
    ("1,3,4,5", "[0,2,3,1]", "20,3", ["Reshape", "Transpose"]),
    ("2,3,4,5", "[0,2,3,1]", "2,60", ["Reshape", "Transpose", "Reshape"]),
]


@pytest.mark.parametrize(("size", "perm", "target", "expected"), EMITTED)
def test_emit(size: str, perm: str, target: str, expected: list[str]) -> None:
    numbers = target.split(",")
    shape = f"s = Constant <value = int64[{len(numbers)}] {{{target}}}> ()"
    body = f"{shape} t = Transpose <perm = {perm}> (x) r = Reshape (t, s) y = Relu (r)"
    model = graph(f"float[{size}] x => float[{target}] y", body)
    relu = node_of(model, "Relu")
    assert relu.inputs[0] is not None
    root, moved, chain = trace(relu.inputs[0])
    assert (root.name, [node.op_type for node in chain]) == ("x", ["Reshape", "Transpose"])
    before = len(model.graph.graph)
    value = emit(relu, root, moved)
    assert [int(dim) for dim in value.shape or ()] == [int(number) for number in numbers]  # type: ignore[arg-type]
    added = list(model.graph.graph)[before - 1 : -1]
    assert [node.op_type for node in added] == expected


@settings(max_examples=5, deadline=None)
@given(SHAPES)
def test_nothing_moved_is_nothing_emitted(shape: tuple[int, ...]) -> None:
    dims = ",".join(map(str, shape))
    model = graph(f"float[{dims}] x => float[{dims}] y", "y = Relu (x)")
    x = model.graph.graph.inputs[0]
    assert emit(node_of(model, "Relu"), x, Movement.of(shape)) is x
