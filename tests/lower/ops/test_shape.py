from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, check_node, compiled, node_model, normal

FEW = settings(max_examples=15, deadline=None)


def _numbers(*values: int) -> Array:
    return np.array(values, np.int64)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "float64"])
def test_aliases_keep_the_bytes(dtype: str) -> None:
    x = (normal(2, 1, 6) > 0).astype(dtype)
    check_node("Reshape", [x, _numbers(3, -1)], constants={1})
    check_node("Flatten", [x], axis=2)
    check_node("Squeeze", [x, _numbers(1)], constants={1})
    check_node("Unsqueeze", [x, _numbers(0, -1)], constants={1})
    check_node("Identity", [x])


@FEW
@given(st.integers(1, 4).flatmap(lambda rank: st.permutations(range(rank))))
def test_transpose(order: list[int]) -> None:
    check_node("Transpose", [normal(*range(2, 2 + len(order)))], perm=order)


def test_transpose_reverses_by_default() -> None:
    check_node("Transpose", [normal(2, 3, 4)])


@FEW
@given(st.data())
def test_slice(data: st.DataObject) -> None:
    extents = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=3))
    rank = len(extents)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), min_size=1, unique_by=lambda a: a % rank))
    bound = st.integers(-12, 12)
    starts, ends = ([data.draw(bound) for _ in axes] for _ in range(2))
    steps = [data.draw(st.sampled_from([-3, -1, 1, 2])) for _ in axes]
    inputs = [normal(*extents), *(_numbers(*v) for v in (starts, ends, axes, steps))]
    check_node("Slice", inputs, constants={1, 2, 3, 4})


def test_slice_to_the_very_end() -> None:
    far = np.iinfo(np.int64)
    inputs = [normal(3, 7), _numbers(-1), _numbers(int(far.min)), _numbers(1), _numbers(-1)]
    check_node("Slice", inputs, constants={1, 2, 3, 4})


def test_slice_bounds_must_be_known() -> None:
    inputs = [normal(5), _numbers(1), _numbers(3)]
    with pytest.raises(UnsupportedError, match=r"input 1 \('x1'\) must be known at compile time"):
        compiled(node_model("Slice", inputs), inputs, [normal(2)])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_and_split(axis: int) -> None:
    parts = [normal(*(i + 1 if a == axis % 3 else 4 for a in range(3)), seed=i) for i in range(3)]
    check_node("Concat", list(parts), axis=axis)
    whole = np.concatenate(parts, axis)
    names = ("a", "b", "c")
    check_node("Split", [whole, _numbers(1, 2, 3)], constants={1}, outputs=names, axis=axis)


def test_concat_with_an_empty_part() -> None:
    check_node("Concat", [normal(2, 3), normal(0, 3), normal(1, 3)], axis=0)


def test_uneven_split() -> None:
    check_node("Split", [normal(7, 2)], outputs=("a", "b", "c"), num_outputs=3)


@pytest.mark.parametrize("repeats", [(1, 1), (2, 3), (1, 4)])
def test_tile(repeats: tuple[int, int]) -> None:
    check_node("Tile", [normal(3, 2), _numbers(*repeats)], constants={1})


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_to_space_and_back(mode: str) -> None:
    (wide,) = check_node("DepthToSpace", [normal(2, 12, 3, 5)], blocksize=2, mode=mode)
    (back,) = check_node("SpaceToDepth", [wide], blocksize=2)
    if mode == "DCR":
        np.testing.assert_array_equal(back, normal(2, 12, 3, 5))


@pytest.mark.parametrize(("time", "batch"), [(0, 1), (1, 0)])
def test_reverse_sequence(time: int, batch: int) -> None:
    inputs = [normal(4, 4, 3), _numbers(1, 4, 2, 3)]
    check_node("ReverseSequence", inputs, time_axis=time, batch_axis=batch)
