"""Limits are Clip or Relu."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecompile.passes.normalize_clip import NormalizeClip
from tests.support.passes import graph, kinds, proven, unchanged

NUMBERS = """
    zero = Constant <value = float {0}> () six = Constant <value = float {6}> ()
    one = Constant <value = float {1}> () several = Constant <value = float[2] {0, 1}> ()
"""
CHANGED = {
    "min of max": ("a = Max (x, zero) y = Min (a, six)", ["Clip"]),
    "max of min": ("a = Min (x, six) y = Max (a, zero)", ["Clip"]),
    "min of relu": ("a = Relu (x) y = Min (a, six)", ["Clip"]),
    "clip of relu": ("a = Relu (x) y = Clip (a, , six)", ["Clip"]),
    "clip of clip": ("a = Clip (x, zero, six) y = Clip (a, one)", ["Clip"]),
    "relu of relu": ("a = Relu (x) y = Relu (a)", ["Relu"]),
    "max": ("y = Max (x, zero)", ["Relu"]),
    "clip from zero": ("y = Clip (x, zero)", ["Relu"]),
}


@pytest.mark.parametrize(("body", "expected"), CHANGED.values(), ids=CHANGED)
def test_changed(body: str, expected: list[str]) -> None:
    result = proven(NormalizeClip(), graph("float[4,2] x => float[4,2] y", NUMBERS + body))
    assert kinds(result.model) == expected


KEPT = {
    "clip": "y = Clip (x, zero, six)",
    "half a clip": "y = Clip (x, one)",
    "relu": "y = Relu (x)",
    "max of another": "y = Max (x, one)",
    "bound varies": "y = Max (x, several)",
    "empty range": "a = Clip (x, six, one) y = Neg (a)",
    "inner read twice": "a = Relu (x) b = Min (a, six) y = Sub (b, a)",
}


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_kept(body: str) -> None:
    unchanged(NormalizeClip(), graph("float[4,2] x => float[4,2] y", NUMBERS + body))


def test_bound_of_run_time_is_kept() -> None:
    unchanged(NormalizeClip(), graph("float[4] x, float b => float[4] y", "a = Relu (x) y = Clip (a, , b)"))


def test_max_that_broadcasts_is_kept() -> None:
    body = "z = Constant <value = float[1,1] {0}> () y = Max (x, z)"
    unchanged(NormalizeClip(), graph("float[4] x => float[1,4] y", body))


@settings(max_examples=25, deadline=None)
@given(bounds=st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=4, max_size=4))
def test_any_two_clips(bounds: list[float]) -> None:
    low, high, lower, higher = bounds[0], max(bounds[:2]), bounds[2], max(bounds[2:])
    constants = {"a": low, "b": high, "c": lower, "d": higher}
    body = " ".join(f"{name} = Constant <value = float {{{value}}}> ()" for name, value in constants.items())
    before = graph("float[64] x => float[64] y", body + " m = Clip (x, a, b) y = Clip (m, c, d)")
    assert kinds(proven(NormalizeClip(), before).model) == ["Clip"]
