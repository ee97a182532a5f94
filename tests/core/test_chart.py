"""Charts as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecompile.core.chart import Line, line_chart, ticks

_NAMES = "{http://www.w3.org/2000/svg}"


def test_every_line_is_drawn_and_named() -> None:
    text = line_chart("A < B", "x", "y", [Line("first", [(0, 1), (2, 3)]), Line("a" * 40, [(1, 2), (2, 1)])])
    root = ElementTree.fromstring(text)
    lines = root.findall(f"{_NAMES}polyline")
    assert [len(line.attrib["points"].split()) for line in lines] == [2, 2]
    assert len({line.attrib["stroke"] for line in lines}) == 2
    assert len(root.findall(f"{_NAMES}circle")) == 4
    words = [element.text for element in root.findall(f"{_NAMES}text")]
    assert {"A < B", "x", "y", "first", "…" + "a" * 23} <= set(words)
    assert text == line_chart(
        "A < B", "x", "y", [Line("first", [(0, 1), (2, 3)]), Line("a" * 40, [(1, 2), (2, 1)])]
    )


def test_points_lie_inside_of_the_axes_and_upwards_is_more() -> None:
    root = ElementTree.fromstring(line_chart("t", "x", "y", [Line("l", [(-5, 0), (100, 7e6)])]))
    points = root.findall(f"{_NAMES}polyline")[0].attrib["points"].split()
    (x1, y1), (x2, y2) = (tuple(map(float, point.split(","))) for point in points)
    assert 70 <= x1 < x2 <= 570
    assert 40 <= y2 < y1 <= 370


def test_a_chart_of_nothing_is_a_chart() -> None:
    ElementTree.fromstring(line_chart("t", "x", "y", []))


@given(st.integers(-(10**6), 10**6), st.floats(1, 1e6) | st.just(0.0))
def test_ticks_are_few_and_enclose_everything(low: int, span: float) -> None:
    found = ticks(low, low + span)
    assert 2 <= len(found) <= 9
    slack = 1e-6 * max(abs(low), span, 1e-9)
    assert found[0] <= low + slack
    assert found[-1] >= low + span - slack
    steps = [b - a for a, b in pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3)
