"""What the answers of two networks to the same questions say about the second one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from benchmarks.accuracy_tasks import Bar, Data, Outcome
from edgecompile.passes.quantize.measure import Ratio

Array = np.ndarray[Any, Any]
Row = dict[str, Any]

_SEED = 0
_RESAMPLES = 1000


@dataclass
class Answers:
    """What the float network and a quantized one said about the scored units, in the same order."""

    units: list[int] = field(default_factory=list)
    before: list[Outcome] = field(default_factory=list)
    after: list[Outcome] = field(default_factory=list)
    agreements: list[Array] = field(default_factory=list)
    ratio: Ratio = field(default_factory=Ratio)

    def add(self, data: Data, unit: int, before: list[Array], after: list[Array]) -> None:
        self.units.append(unit)
        self.before.append(data.judge(unit, before))
        self.after.append(data.judge(unit, after))
        self.agreements.append(np.atleast_1d(data.decide(before) == data.decide(after)))
        self.ratio.add(before[0], after[0])


def paired_interval(data: Data, answers: Answers) -> tuple[float, float]:
    """The middle 95 % of the drop in points over resampled units, the same ones for both networks.

    A unit that several folds score is drawn with all its outcomes.
    """
    generator = np.random.default_rng(_SEED)
    places: dict[int, list[int]] = {}
    for place, unit in enumerate(answers.units):
        places.setdefault(unit, []).append(place)
    of_unit = list(places.values())
    drops = []
    for _ in range(_RESAMPLES):
        chosen = [i for draw in generator.integers(0, len(of_unit), len(of_unit)) for i in of_unit[draw]]
        scores = [data.score([outcomes[i] for i in chosen]) for outcomes in (answers.before, answers.after)]
        drops.append(100 * (scores[0] - scores[1]))
    low, high = np.percentile(drops, [2.5, 97.5])
    return float(low), float(high)


def figures(data: Data, answers: Answers) -> Row:
    """Scores from 0 to 1, their drop in points with its interval, agreement in percent, noise in dB."""
    before, after = data.score(answers.before), data.score(answers.after)
    decisions = np.concatenate(answers.agreements)
    return {
        "n": len(answers.before),
        "float": before,
        "quantized": after,
        "drop": 100 * (before - after),
        "interval": list(paired_interval(data, answers)),
        "agreement": 100 * float(decisions.mean()) if decisions.size else None,
        "sqnr_db": answers.ratio.decibels,
    }


def judged(row: Row, bar: Bar, peers: Sequence[Row]) -> Row:
    """`row` with its bar and whether it holds; for the drop, the lower end of its interval is enough."""
    agreement = row["agreement"] or 0.0
    others = [peer["agreement"] for peer in peers if peer.get("agreement") is not None]
    met = min(row["drop"], row["interval"][0]) <= bar.largest_drop
    met = met and agreement >= (bar.least_agreement or 0.0)
    met = met and not (bar.beats_peers and any(agreement <= other for other in others))
    return row | {"bar": asdict(bar), "met": bool(met)}
