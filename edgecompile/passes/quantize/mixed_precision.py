"""Mixed precision: which layers must compute in float for a score to hold.

Layers are sorted by sensitivity, the noise in the network's outputs when only they are quantized. The score
is measured with more and more of the worst in float, twice as many each time, until it holds; bisection finds
how few of them do. Noise at the outputs is not what a score goes by, so some of these may be needless: they
are given back to integers in halves, as long as the score holds. Scoring may be slow: about 2 log2(n) scores
find n layers, and at most `RETURNS` more give some back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edgecompile.errors import InputError, Problem

# At most so many scores are measured to give layers back.
RETURNS = 8

# The score of the network with these layers in float; larger is better.
Score = Callable[[Sequence[str]], float]


@dataclass(frozen=True)
class Trial:
    """The score with the layers `kept` in float."""

    kept: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class MixedPrecision:
    """The layers that compute in float, most sensitive first, and how they were found.

    `trials` are in order; the first has no layer in float that the user did not name.
    """

    float_score: float
    max_drop: float
    kept: tuple[str, ...]
    score: float
    trials: tuple[Trial, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of `score` when it decided: it is the best of several on the same data."""
        if len(self.trials) == 1:
            return ()
        tried = f"layers in float were chosen among {len(self.trials)} sets by their scores"
        return (f"{tried}, so the final score favours the data it was measured on; state that of other data",)

    def as_record(self) -> dict[str, Any]:
        """The report of it, as data."""
        return {
            "max_accuracy_drop": self.max_drop,
            "float_score": self.float_score,
            "score": self.score,
            "layers": list(self.kept),
            "trials": [{"layers": list(trial.kept), "score": trial.score} for trial in self.trials],
        }


def choose_float_layers(
    score: Score,
    float_score: float,
    max_drop: float,
    by_sensitivity: Callable[[], Sequence[str]],
    where: str = "--evaluate",
) -> MixedPrecision:
    """The layers to keep in float so that the score is at most `max_drop` below `float_score`.

    `by_sensitivity` names all layers, the most sensitive first; it is asked only when it is needed. Raises
    InputError, which calls the function of the score `where`: EC3401 when not even all layers in float do,
    EC3402 for a score that is no number.
    """
    search = _Search(score, _checked(float_score, where) - max_drop, where)
    kept: tuple[str, ...] = ()
    if not search.holds(()):
        layers = tuple(by_sensitivity())
        kept = layers[: _fewest(search, layers)]
        if not search.holds(kept):
            raise InputError(_out_of_reach(float_score, max_drop, search.scores[kept], where))
        kept = _without_needless(search, kept)
    trials = tuple(Trial(layers, value) for layers, value in search.scores.items())
    return MixedPrecision(float_score, max_drop, kept, search.scores[kept], trials)


@dataclass
class _Search:
    """Measures scores, each only once; `least` is what a score must reach."""

    score: Score
    least: float
    where: str
    scores: dict[tuple[str, ...], float] = field(default_factory=dict)

    def holds(self, kept: tuple[str, ...]) -> bool:
        if kept not in self.scores:
            self.scores[kept] = _checked(self.score(kept), self.where)
        return self.scores[kept] >= self.least


def _checked(score: float, where: str) -> float:
    if math.isnan(score):
        fix = "return a number for every network, however bad"
        raise InputError(Problem("EC3402", "the score is not a number (NaN)", where, "", fix))
    return score


def _fewest(search: _Search, layers: tuple[str, ...]) -> int:
    """How many of the first `layers` suffice, if more are always better; all, if nothing less does."""
    too_few, enough = 0, 1
    while enough < len(layers) and not search.holds(layers[:enough]):
        too_few, enough = enough, 2 * enough
    enough = min(enough, len(layers))
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if search.holds(layers[:middle]):
            enough = middle
        else:
            too_few = middle
    return enough


def _without_needless(search: _Search, kept: tuple[str, ...]) -> tuple[str, ...]:
    """`kept` without layers that the score holds without, the least sensitive tried first.

    The last one alone is known to be needed.
    """
    limit = len(search.scores) + RETURNS
    pending = _halves(kept[:-1])
    while pending and len(search.scores) < limit:
        part = pending.pop()
        rest = tuple(layer for layer in kept if layer not in part)
        if search.holds(rest):
            kept = rest
        elif len(part) > 1:
            pending += _halves(part)
    return kept


def _halves(layers: tuple[str, ...]) -> list[tuple[str, ...]]:
    middle = len(layers) // 2
    return [half for half in (layers[:middle], layers[middle:]) if half]


def _out_of_reach(float_score: float, max_drop: float, score: float, where: str) -> Problem:
    return Problem(
        "EC3401",
        f"no choice of layers in float keeps the drop within {max_drop:g}",
        where,
        f"the float network scores {float_score:g}, and {score:g} with all layers in float again",
        "let the function score equal networks equally: fix its seeds and data; or allow a larger drop",
    )
