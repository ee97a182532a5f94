"""Labels are tied as sets are joined, and cost nothing along axes where they do not vary."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.prune.labels import Labels, compact, first, shrink, spread

PAIRS = st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)), max_size=30)


@given(PAIRS)
def test_ties_are_those_of_a_plain_union_find(pairs: list[tuple[int, int]]) -> None:
    labels = Labels()
    numbers = labels.fresh(20)
    sets = {number: {number} for number in range(20)}
    for left, right in pairs:
        labels.tie(numbers[left : left + 1], numbers[right : right + 1])
        joined = sets[left] | sets[right]
        for number in joined:
            sets[number] = joined
    assert labels.roots(numbers).tolist() == [min(sets[number]) for number in range(20)]


@given(PAIRS)
def test_one_tie_of_arrays_is_many_ties(pairs: list[tuple[int, int]]) -> None:
    together, alone = Labels(), Labels()
    numbers, _ = together.fresh(20), alone.fresh(20)
    left, right = np.array(pairs, np.int32).reshape(-1, 2).T
    together.tie(left, right)
    for pair in zip(left, right, strict=True):
        alone.tie(*(np.array([number]) for number in pair))
    assert together.roots(numbers).tolist() == alone.roots(numbers).tolist()


def test_labels_broadcast_when_they_are_tied() -> None:
    labels = Labels()
    image, channels = labels.fresh((1, 3, 2, 2)), labels.fresh((3, 1, 1))
    labels.tie(image, channels)
    assert labels.varying(image) == [1]
    assert labels.roots(channels).ravel().tolist() == labels.roots(image)[0, :, 1, 1].tolist()


def test_vector_ties_what_lies_beside_the_axis() -> None:
    labels = Labels()
    image = labels.fresh((2, 3, 4))
    assert labels.varying(image) == [0, 1, 2]
    assert labels.vector(image, -2).tolist() == [0, 4, 8]
    assert labels.varying(image) == [1]


def test_a_spread_vector_takes_no_memory() -> None:
    tensor = spread(np.arange(3), (1, 3, 224, 224), 1)
    assert compact(tensor).size == 3
    assert compact(shrink(np.array(tensor))).size == 3
    assert first(tensor, 1).shape == (1, 1, 224, 224)


def test_the_first_reason_for_freezing_counts_for_all_that_is_tied() -> None:
    labels = Labels()
    left, right = labels.fresh(2), labels.fresh(2)
    labels.freeze(left[:1], "first")
    labels.freeze(right[:1], "second")
    labels.tie(left, right)
    assert labels.reasons() == {0: "first"}
