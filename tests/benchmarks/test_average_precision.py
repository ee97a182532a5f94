"""Mean average precision by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.average_precision import match, mean_average_precision

# Class, center and size of two boxes of class 1 and one of class 2.
_WANTED = np.array([[1, 0.25, 0.25, 0.5, 0.5], [1, 0.75, 0.75, 0.5, 0.5], [2, 0.5, 0.5, 1.0, 1.0]])


def box(kind: int, score: float, left: float, top: float, right: float, bottom: float) -> list[float]:
    return [kind, score, left, top, right, bottom]


def test_boxes_are_matched_once_and_by_class() -> None:
    found = np.array(
        [
            box(1, 0.5, 0, 0, 0.5, 0.5),  # later than the better scored one below
            box(1, 0.9, 0, 0, 0.5, 0.45),
            box(2, 0.8, 0, 0, 0.5, 0.5),  # a quarter of the one wanted
            box(3, 0.7, 0, 0, 1, 1),
            box(1, 0.6, 0.5, 0.5, 1, 1),
        ]
    )
    assert match(found, _WANTED).right.tolist() == [False, True, False, False, True]


def test_a_perfect_detector_scores_one() -> None:
    found = np.array([box(1, 0.9, 0, 0, 0.5, 0.5), box(1, 0.8, 0.5, 0.5, 1, 1), box(2, 0.7, 0, 0, 1, 1)])
    assert mean_average_precision([match(found, _WANTED)]) == 1.0


def test_a_wrong_box_between_right_ones_costs_precision() -> None:
    """Class 1: right, wrong, right, so precision is 1 up to recall 1/2, then 2/3; class 2 is not found."""
    found = np.array([box(1, 0.9, 0, 0, 0.5, 0.5), box(1, 0.8, 0, 0.5, 0.5, 1), box(1, 0.7, 0.5, 0.5, 1, 1)])
    assert mean_average_precision([match(found, _WANTED)]) == pytest.approx((0.5 * 1 + 0.5 * 2 / 3) / 2)


def test_scores_compare_over_pictures() -> None:
    right, wrong = box(1, 0.5, 0, 0, 0.5, 0.5), box(1, 0.9, 0.5, 0, 1, 0.5)
    pictures = [match(np.array([one]), _WANTED[:1]) for one in (right, wrong)]
    assert mean_average_precision(pictures) == pytest.approx(0.5 * 0.5)
    assert mean_average_precision([pictures[0]] * 3) == 1.0


def test_nothing_found_scores_nothing() -> None:
    assert mean_average_precision([match(np.zeros((0, 6)), _WANTED)]) == 0.0
    assert match(np.array([box(1, 0.9, 0, 0, 1, 1)]), np.zeros((0, 5))).right.tolist() == [False]
