"""Which convolutions make a transposed one: as many as save more products than they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgecompile.passes.transposed_phases import Transposed, plan_phases

# 2x2 with stride 2 on an image of 8x8, 16 to 16 channels
DOUBLED = Transposed((8, 8), (16, 16), (2, 2), (2, 2), (1, 1), (0, 0), 1, 1, (16, 16))


def windows_of(given: Transposed) -> list[tuple[tuple[int, ...], ...]]:
    """The shape of [phases, taps] of each axis, for every convolution."""
    phases = plan_phases(given)
    assert phases is not None
    return [tuple(window.taps.shape for window in windows) for windows in phases.windows]


def test_phases_of_like_taps_are_one_convolution() -> None:
    assert windows_of(DOUBLED) == [((2, 1), (2, 1))]


def test_phases_of_unlike_taps_are_apart_where_products_are_many() -> None:
    unlike = replace(DOUBLED, kernel=(3, 3), pads=(1, 1))
    assert windows_of(replace(unlike, channels=(2, 16))) == [((2, 2), (2, 2))]
    apart = [((1, 1), (1, 1)), ((1, 1), (1, 2)), ((1, 2), (1, 1)), ((1, 2), (1, 2))]
    assert windows_of(replace(unlike, channels=(64, 16))) == apart


def test_depthwise_ones_stay_depthwise() -> None:
    depthwise = replace(DOUBLED, kernel=(4, 4), pads=(1, 1), groups=16, channels=(1, 1))
    assert windows_of(depthwise) == [((1, 2), (1, 2))] * 4


def test_never_very_many_convolutions() -> None:
    flat = Transposed((9, 9), (36, 36), (8, 8), (4, 4), (1, 1), (2, 2), 1, 64, (1, 1))
    deep = Transposed((9,) * 3, (36,) * 3, (8,) * 3, (4,) * 3, (1,) * 3, (2,) * 3, 1, 64, (1, 1))
    assert (len(windows_of(flat)), len(windows_of(deep))) == (16, 8)


def test_a_crop_where_it_saves_taps() -> None:
    given = replace(DOUBLED, extents=(30, 30), results=(60, 60), kernel=(4, 4), pads=(1, 1))
    phases = plan_phases(replace(given, channels=(16, 2)))
    assert phases is not None
    assert [(axis.crop, axis.count) for axis in phases.axes] == [(1, 31)] * 2


def test_padding_is_never_negative() -> None:
    assert plan_phases(Transposed((4,), (2,), (1,), (2,), (1,), (3,), 1, 1, (4, 4))) is None


def test_taps_that_do_not_exist_hold_what_they_are_told() -> None:
    given = Transposed((4,), (8,), (1,), (2,), (1,), (0,), 1, 1, (1, 2))
    phases = plan_phases(given)
    assert phases is not None
    (windows,) = phases.windows
    weights = phases.weights(windows, np.array([[[5], [7]]]), np.array([1, 2]))
    assert weights[:, 0, 0].tolist() == [5, 7, 1, 2]
    assert phases.of_channels(np.array([3, 4])).tolist() == [3, 4, 3, 4]
