"""The cut is the least of all cuts."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edgecompile.passes.layout.min_cut import SINK, SOURCE, CutGraph

EDGES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.integers(0, 9)), max_size=20)


def cost(edges: list[tuple[int, int, int]], staying: set[int]) -> int:
    return sum(price for tail, head, price in edges if tail in staying and head not in staying)


@given(EDGES)
def test_least_cost_and_smallest_source_side(edges: list[tuple[int, int, int]]) -> None:
    graph = CutGraph()
    for _ in range(5):
        graph.add_vertex()
    for edge in edges:
        graph.add_edge(*edge)
    found, staying = graph.cut()
    free = range(2, 7)
    sides = [{SOURCE, *inner} for size in range(6) for inner in itertools.combinations(free, size)]
    least = min(cost(edges, side) for side in sides)
    assert found == least == cost(edges, staying)
    assert SINK not in staying
    assert all(staying <= side for side in sides if cost(edges, side) == least)


def test_long_chain() -> None:
    """Search is not recursive: chains are as long as networks are deep."""
    graph = CutGraph()
    chain = [SOURCE, *(graph.add_vertex() for _ in range(5000)), SINK]
    for index, (tail, head) in enumerate(itertools.pairwise(chain)):
        graph.add_edge(tail, head, 10 + (index == 0) - (index == 2500) * 5)
    assert graph.cut()[0] == 5
