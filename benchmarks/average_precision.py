"""Mean average precision of a detector at an overlap of one half (M. Everingham et al., PASCAL VOC, 2010).

Which boxes of a picture are right depends on that picture alone, so it is decided once, and a score over any
pictures, each of them any number of times, is a matter of sorting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_LEAST_OVERLAP = 0.5


@dataclass(frozen=True)
class Matches:
    """One picture: class, score and rightness of each box that was found, and the classes of those wanted."""

    classes: Array
    scores: Array
    right: Array
    wanted: Array


def match(found: Array, wanted: Array) -> Matches:
    """Match boxes of one picture, best score first, each to the free one of its class that it overlaps most.

    `found` has rows of class, score, left, top, right, bottom; `wanted` of class, center x, center y, width,
    height.
    """
    half = wanted[:, 3:5] / 2
    boxes = np.concatenate([wanted[:, 1:3] - half, wanted[:, 1:3] + half], axis=1)
    free, right = np.ones(len(wanted), bool), np.zeros(len(found), bool)
    for place in np.argsort(-found[:, 1], kind="stable"):
        overlap = np.where(free & (wanted[:, 0] == found[place, 0]), _overlaps(found[place, 2:6], boxes), 0.0)
        if overlap.size and overlap.max() >= _LEAST_OVERLAP:
            right[place], free[overlap.argmax()] = True, False
    return Matches(found[:, 0].astype(int), found[:, 1], right, wanted[:, 0].astype(int))


def mean_average_precision(pictures: Sequence[Matches]) -> float:
    """The area under the curve of precision over recall, from 0 to 1, meaned over the classes wanted."""
    classes, scores, right, wanted = (
        np.concatenate([getattr(picture, name) for picture in pictures])
        for name in ("classes", "scores", "right", "wanted")
    )
    order = np.lexsort((-scores, classes))
    classes, right = classes[order], right[order]
    precisions = []
    for one, count in zip(*np.unique(wanted, return_counts=True), strict=True):
        begin, end = np.searchsorted(classes, [one, one + 1])
        precisions.append(_area(right[begin:end], int(count)))
    return float(np.mean(precisions))


def _area(right: Array, wanted: int) -> float:
    """The area for one class; `right` are its boxes, greatest score first."""
    if not right.size:
        return 0.0
    hits = np.cumsum(right)
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    return float(precision[right].sum() / wanted)


def _overlaps(box: Array, others: Array) -> Array:
    """Intersection over union of `box` with each of `others`."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    common = np.where((sides > 0).all(axis=1), sides.prod(axis=1), 0.0)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return np.asarray(common / (areas - common))
