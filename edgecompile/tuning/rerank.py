"""The last phase: the fastest candidates of each heavy kernel are compared inside the whole network.

A kernel that is measured alone shares no cache with others, and no memory bandwidth. So variants of the
network that differ in one kernel take turns: its built-in choice and the best of the search. What is fastest
there stays, and the next kernel is looked at; kernels that take most of the time come first (greedy).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from edgecompile.tuning.database import Database, best_in_network, relative_value
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.network import NetworkBench, Variant
from edgecompile.tuning.record import Failure, Json, Trial, canonical
from edgecompile.tuning.search import Search
from edgecompile.tuning.session import Session
from edgecompile.tuning.task import Task

# Candidates of the search that are compared, besides the built-in one.
_FINALISTS = 3
# A candidate that is slower by itself by more than this is not going to be faster in the network.
_WITHIN = 1.10
# The kernels that together take this share of the network's time, and at most so many of them.
_SHARE, _MOST = 0.9, 12

# Seconds of one inference for each variant of the network, or why there is no figure; and on which device.
Compare = Callable[[Sequence[Variant]], tuple[Sequence[float | Failure], str]]


@dataclass(frozen=True)
class Reranked:
    """What became of one kernel: `speed_up` is the network's, over the built-in choice for this kernel.

    `changed` says whether another candidate won than the one that was fastest by itself.
    """

    name: str
    candidate: Json
    speed_up: float
    changed: bool


# Is told the name of each kernel before its candidates are compared.
Notify = Callable[[str], None]


def rerank(
    session: Session, network: NetworkBench, notify: Notify, is_over: Callable[[], bool]
) -> list[Reranked]:
    """What `Rerank` does of a session's results, which are times. Raises as that."""
    phase = Rerank(
        session.searches,
        lambda variants: network.compare(variants, session.pool.lend),
        session.database,
        session.journal,
        session.pool.target.name,
        session.versions,
    )
    return phase.run(notify, is_over)


@dataclass
class Rerank:
    """Compares what `searches` found by `compare`; new records go to `journal` and `database`.

    `versions` are those of the records.
    """

    searches: Sequence[Search]
    compare: Compare
    database: Database
    journal: Journal
    target: str
    versions: Mapping[str, str]
    chosen: dict[str, Json] = field(default_factory=dict)

    def run(self, notify: Notify, is_over: Callable[[], bool] = lambda: False) -> list[Reranked]:
        """One entry for each heavy kernel with a choice; what the records know already is not done again.

        It ends early when time `is_over`. Raises DeviceError and StoppedError (EC8001).
        """
        self.chosen = {
            search.task.workload.key: search.task.candidates[search.best]
            for search in self.searches
            if search.best is not None
        }
        network = fingerprint([search.task for search in self.searches])
        done = []
        for search in heavy(self.searches):
            if is_over():
                break
            places = finalists(search)
            if len(places) > 1:
                notify(name_of(search))
                trials = self._known(search.task, places, network)
                trials = trials or self._measure(search, places, network)
                done.append(self._choose(search, trials))
        return done

    def _known(self, task: Task, places: Sequence[int], network: str) -> list[Trial]:
        """The records of all of these candidates in this network; nothing unless they are complete."""
        trials = self.database.in_network(task.workload.key, self.target)
        own = [trial for trial in trials if trial.network == network]
        wanted = [task.candidates[place] for place in places]
        return own if all(any(trial.candidate == one for trial in own) for one in wanted) else []

    def _measure(self, search: Search, places: Sequence[int], network: str) -> list[Trial]:
        key, candidates = search.task.workload.key, [search.task.candidates[place] for place in places]
        figures, device = self.compare([self.chosen | {key: candidate} for candidate in candidates])
        values = [None if isinstance(figure, str) else figure for figure in figures]
        trials = [
            Trial(
                key,
                self.target,
                "seconds",
                candidate,
                value,
                device,
                self.versions,
                figure if isinstance(figure, str) else None,
                baseline=values[0],
                network=network,
            )
            for candidate, value, figure in zip(candidates, values, figures, strict=True)
        ]
        self.journal.append(trials)
        for trial in trials:
            self.database.add(trial)
        return trials

    def _choose(self, search: Search, trials: Sequence[Trial]) -> Reranked:
        """The fastest in the network becomes a part of it."""
        key, best = search.task.workload.key, best_in_network(trials)
        before = self.chosen[key]
        if best is not None:
            self.chosen[key] = best.candidate
        gain = 1 / relative_value(best) if best else 1.0
        return Reranked(name_of(search), self.chosen[key], gain, self.chosen[key] != before)


def name_of(search: Search) -> str:
    """The kernel of a search, for people."""
    return str(search.task.workload.description["name"])


def finalists(search: Search) -> list[int]:
    """The places of the candidates to compare, the built-in one first; only that where nothing is close."""
    known = {place: value for place, value in search.values.items() if value is not None}
    if search.best is None or 0 not in known:
        return [0]
    limit = known[search.best] * _WITHIN
    close = sorted((value, place) for place, value in known.items() if place and value <= limit)
    return [0, *(place for _, place in close[:_FINALISTS])]


def heavy(searches: Sequence[Search]) -> list[Search]:
    """The searches of the kernels that take most of the network's time, the heaviest first."""

    def seconds(search: Search) -> float:
        return search.task.weight * (search.best_value or 0.0)

    ordered = sorted(searches, key=seconds, reverse=True)
    sums = list(accumulate(map(seconds, ordered), initial=0.0))
    found = [search for search, before in zip(ordered, sums, strict=False) if before < _SHARE * sums[-1]]
    return found[:_MOST]


def fingerprint(tasks: Sequence[Task]) -> str:
    """A name for a network by what its kernels compute, and how often."""
    kernels = sorted([task.workload.key, task.weight] for task in tasks)
    return hashlib.sha256(canonical(kernels).encode()).hexdigest()[:16]
