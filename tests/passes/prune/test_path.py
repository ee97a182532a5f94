"""Ways from a whole network to a small one, and where along them a goal is met."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.prune.analyse import analyse
from edgecompile.passes.prune.choose import best_units, cubic_shares, first_that
from edgecompile.passes.prune.costs import Estimate, macs, parameters
from edgecompile.passes.prune.cut import cut
from edgecompile.passes.prune.groups import Group
from edgecompile.passes.prune.path import (
    error_curve,
    global_path,
    levels,
    rounded,
    sensitivity_path,
    uniform_path,
)
from tests.passes.prune.importance.networks import convolutions, inner_group

rng = np.random.default_rng(5)


def group(size: int, name: str = "g") -> Group:
    return Group(name, size, "channels", ())


@given(st.integers(1, 300), st.sampled_from([1, 4, 8, 16]))
def test_levels_fall_in_multiples(size: int, multiple: int) -> None:
    found = levels(group(size), multiple)
    assert found[0] == size
    assert sorted(set(found), reverse=True) == found
    assert found[-1] == (multiple if size > multiple else 1) or size == 1
    assert all(count % multiple == 0 for count in found[1:]) or size <= multiple


@given(st.integers(1, 100), st.floats(0, 1), st.sampled_from([1, 4, 8]))
def test_rounding_keeps_something_and_no_more_than_there_is(size: int, share: float, multiple: int) -> None:
    count = rounded(group(size), share * size, multiple)
    assert 1 <= count <= size
    assert count == size or size <= multiple or count % multiple == 0


def test_uniform_paths_leave_the_same_share_everywhere() -> None:
    path = uniform_path([group(64, "a"), group(16, "b")], 4)
    assert path[0] == {"a": 64, "b": 16}
    assert {"a": 32, "b": 8} in path
    assert path[-1] == {"a": 4, "b": 4}


def test_global_paths_take_the_least_important_units_first() -> None:
    scores = {"a": np.array([1.0, 1.0, 1.0, 1.0]), "b": np.array([0.1, 0.1, 2.0, 2.0])}
    path = global_path([group(4, "a"), group(4, "b")], scores, 1)
    assert {"a": 4, "b": 2} in path
    assert all(step["a"] == 4 for step in path if step["b"] > 2)


@given(st.lists(st.lists(st.floats(0, 10), min_size=2, max_size=12), min_size=1, max_size=4))
def test_no_group_grows_along_a_path(figures: list[list[float]]) -> None:
    groups = [group(len(some), f"g{i}") for i, some in enumerate(figures)]
    scores = {g.name: np.array(some) for g, some in zip(groups, figures, strict=True)}
    for path in (uniform_path(groups, 2), global_path(groups, scores, 2)):
        for before, after in pairwise(path):
            assert before != after
            assert all(after[name] <= before[name] for name in after)


def test_sensitive_groups_are_cut_last() -> None:
    first, second = rng.standard_normal((8, 2, 3, 3)), rng.standard_normal((4, 8, 1, 1))
    model = convolutions(first, np.zeros(8), second)
    found = inner_group(model)
    estimate = Estimate(model, [found])
    curve = error_curve(found, np.arange(1.0, 9.0), 1)
    assert curve == {8: 0.0, 7: 1.0, 6: 2.0, 5: 3.0, 4: 4.0, 3: 5.0, 2: 6.0, 1: 7.0}
    path = sensitivity_path([found], {found.name: curve}, estimate, 1)
    assert [step[found.name] for step in path] == [8, 7, 6, 5, 4, 3, 2, 1]


def test_a_step_over_a_flat_part_is_walked_in_small_steps() -> None:
    model = convolutions(rng.standard_normal((8, 2, 1, 1)), np.zeros(8), rng.standard_normal((4, 8, 1, 1)))
    found = inner_group(model)
    path = sensitivity_path([found], {found.name: {8: 0.0, 2: 0.1}}, Estimate(model, [found]), 2)
    assert [step[found.name] for step in path] == [8, 6, 4, 2]


def test_an_estimate_is_what_the_cut_gives() -> None:
    model = convolutions(rng.standard_normal((8, 2, 3, 3)), np.zeros(8), rng.standard_normal((4, 8, 1, 1)))
    found = inner_group(model)
    estimate = Estimate(model, [found])
    pruned = cut(model, {found.name: [0, 3, 4]}, analyse(model))
    assert estimate.macs({found.name: 3}) == pytest.approx(macs(pruned))
    assert estimate.parameters({found.name: 3}) == pytest.approx(parameters(pruned))
    assert estimate.macs({}) == macs(model)


def test_the_best_units_stay_in_their_order() -> None:
    scores = {"a": np.array([3.0, 1.0, 2.0, 5.0]), "b": np.array([1.0, 1.0])}
    assert best_units(scores, {"a": 2, "b": 2}) == {"a": [0, 3]}


@given(st.integers(1, 40), st.integers(0, 45))
def test_the_first_step_that_holds_is_found(length: int, at: int) -> None:
    path = [{"a": length - i} for i in range(length)]
    found = first_that(path, lambda counts: length - counts["a"] >= at)
    assert found == (at if at < length else None)


def test_much_is_cut_early_and_little_late() -> None:
    shares = cubic_shares(0.5, 4)
    assert shares[-1] == 0.5
    steps = -np.diff([1.0, *shares])
    assert all(steps[:-1] > steps[1:])
    assert cubic_shares(0.3, 1) == [0.3]
