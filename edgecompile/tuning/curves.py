"""Tuning curves: the best speed-up over the default after each trial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

# Eighths of a line of text, the least first.
_BARS = "▁▂▃▄▅▆▇█"


def improvements(speed_ups: Iterable[float | None]) -> list[tuple[int, float]]:
    """(trial, speed-up) wherever a trial is the best so far; trials count from 1, None is a failure."""
    found: list[tuple[int, float]] = []
    for trial, speed_up in enumerate(speed_ups, 1):
        if speed_up is not None and (not found or speed_up > found[-1][1]):
            found.append((trial, speed_up))
    return found


def best_after(curve: Sequence[tuple[int, float]], trial: int) -> float | None:
    """The best speed-up after so many trials; None before the first success."""
    return max((speed_up for at, speed_up in curve if at <= trial), default=None)


def sparkline(curve: Sequence[tuple[int, float]], trials: int, width: int = 16) -> str:
    """The curve up to `trials` as a row of bars, from the lowest for the first speed-up to the highest."""
    if not curve:
        return ""
    width = min(width, trials)
    first, last = curve[0][1], curve[-1][1]
    span = (last - first) or 1.0
    places = [1 + round((trials - 1) * column / max(width - 1, 1)) for column in range(width)]
    heights = [((best_after(curve, place) or first) - first) / span for place in places]
    return "".join(_BARS[round(height * (len(_BARS) - 1))] for height in heights)
