"""The best speed-up so far."""

from __future__ import annotations

from edgecompile.tuning.curves import best_after, improvements, sparkline

CURVE = improvements([None, 1.0, 0.5, 3.0, 3.0, 2.0])


def test_only_improvements_are_kept() -> None:
    assert CURVE == [(2, 1.0), (4, 3.0)]
    assert improvements([None]) == []


def test_the_best_after_some_trials() -> None:
    assert [best_after(CURVE, trial) for trial in (1, 2, 3, 4, 9)] == [None, 1.0, 1.0, 3.0, 3.0]


def test_a_row_of_bars() -> None:
    assert sparkline(CURVE, 6) == "▁▁▁███"
    assert sparkline(improvements([1.0, 1.0]), 2) == "▁▁"
    assert len(sparkline(CURVE, 100)) == 16
    assert sparkline([], 5) == ""
