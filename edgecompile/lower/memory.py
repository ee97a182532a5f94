"""The static memory plan: where in the arena each value lives.

Offset assignment for live intervals is dynamic storage allocation, NP-hard in general; greedy first fit over
a few orders reaches the lower bound on almost all networks (Pisarchyk & Lee, "Efficient Memory Management
for Deep Neural Net Inference", 2020); where it does not, a seeded local search changes the order.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from edgecompile.lower.program import Program

# Pairs of buffers that the local search may compare in all: a bound on compile time, not on quality.
_SEARCH_BUDGET = 20_000_000


@dataclass(frozen=True)
class Interval:
    """A buffer of `nbytes` that must exist from step `first` to step `last`, both included."""

    name: str
    nbytes: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """`offsets` in the arena by buffer name; sizes in bytes. `live` are the bytes in use at each step."""

    offsets: dict[str, int]
    arena_bytes: int
    live: tuple[int, ...]

    @property
    def lower_bound(self) -> int:
        """The most that is in use at one step: no plan can be smaller."""
        return max(self.live, default=0)


def workspace_name(step: int) -> str:
    """The buffer name of a step's workspace; that of all its parts, one after the other."""
    return f"workspace of step {step}"


def plan_memory(intervals: Iterable[Interval], align: int) -> MemoryPlan:
    """Assign non-overlapping aligned offsets to buffers that live at the same time."""
    buffers = [
        Interval(i.name, -(-i.nbytes // align) * align, i.first, i.last) for i in intervals if i.nbytes > 0
    ]
    live = live_bytes(buffers)
    order = min(_orders(buffers), key=lambda candidate: _height(candidate, _first_fit(candidate)))
    offsets = _improve(order, max(live, default=0))
    return MemoryPlan(offsets, _height(buffers, offsets), live)


def _improve(order: list[Interval], bound: int) -> dict[str, int]:
    """Place buffers that end up on top earlier, until the bound is met or nothing helps."""
    shuffler = random.Random(0)
    best = _first_fit(order)
    for _ in range(min(5000, _SEARCH_BUDGET // max(1, len(order)) ** 2)):
        height = _height(order, best)
        if height == bound:
            break
        top = [i for i, b in enumerate(order) if best[b.name] + b.nbytes == height]
        trial = list(order)
        # Mostly the buffer on top; now and then any, to leave a local optimum.
        moved = trial.pop(shuffler.choice(top) if shuffler.random() < 0.7 else shuffler.randrange(len(trial)))
        trial.insert(shuffler.randrange(len(trial) + 1), moved)
        offsets = _first_fit(trial)
        if _height(trial, offsets) <= height:
            order, best = trial, offsets
    return best


def _height(buffers: Sequence[Interval], offsets: dict[str, int]) -> int:
    return max((offsets[b.name] + b.nbytes for b in buffers), default=0)


def live_bytes(buffers: Sequence[Interval]) -> tuple[int, ...]:
    """The bytes of all buffers that exist at each step, from step 0 to the last one of any buffer."""
    change = [0] * (max((buffer.last for buffer in buffers), default=-1) + 2)
    for buffer in buffers:
        change[buffer.first] += buffer.nbytes
        change[buffer.last + 1] -= buffer.nbytes
    return tuple(accumulate(change[:-1]))


def _orders(buffers: list[Interval]) -> Iterable[list[Interval]]:
    yield sorted(buffers, key=lambda b: (-b.nbytes, b.first))
    yield sorted(buffers, key=lambda b: (b.first, -b.nbytes))
    yield sorted(buffers, key=lambda b: (-b.nbytes * (b.last - b.first + 1), b.first))
    yield sorted(buffers, key=lambda b: (b.first - b.last, -b.nbytes))


def _first_fit(order: Sequence[Interval]) -> dict[str, int]:
    offsets: dict[str, int] = {}
    placed: list[Interval] = []
    for buffer in order:
        neighbours = sorted(
            (offsets[other.name], offsets[other.name] + other.nbytes)
            for other in placed
            if other.first <= buffer.last and buffer.first <= other.last
        )
        offset = 0
        for start, end in neighbours:
            if offset + buffer.nbytes <= start:
                break
            offset = max(offset, end)
        offsets[buffer.name] = offset
        placed.append(buffer)
    return offsets


def arena_intervals(program: Program, owned_elsewhere: set[str]) -> tuple[list[Interval], dict[str, str]]:
    """The buffers of a program that need arena space, and which value took over whose bytes in place.

    `owned_elsewhere` are values in caller memory or weights. The map sends each value that is computed in
    place to the value whose bytes it takes over.
    """
    first, last = _lifetimes(program, owned_elsewhere)
    reused: dict[str, str] = {}

    def owner(name: str) -> str:
        while name in reused:
            name = reused[name]
        return name

    for index, step in enumerate(program.steps):
        for position in step.in_place:
            source, result = program.resolve(step.reads[position]), program.resolve(step.writes[0])
            base = owner(source.base)
            readers = [program.resolve(name).base for name in step.reads]
            if source.offset or result.offset or readers.count(source.base) > 1 or result.base == source.base:
                continue
            if base not in first or last[base] != index or first.get(result.base) != index:
                continue
            if program.values[base].nbytes != program.values[result.base].nbytes:
                continue
            reused[result.base] = base
            last[base] = last[result.base]
            del first[result.base]
            break
    values = [Interval(name, program.values[name].nbytes, first[name], last[name]) for name in first]
    scratch = [
        Interval(workspace_name(i), s.workspace * s.parts, i, i)
        for i, s in enumerate(program.steps)
        if s.workspace
    ]
    return values + scratch, {name: owner(name) for name in reused}


def _lifetimes(program: Program, owned_elsewhere: set[str]) -> tuple[dict[str, int], dict[str, int]]:
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for index, step in enumerate(program.steps):
        for name in (*step.writes, *step.reads):
            base = program.resolve(name).base
            if base not in owned_elsewhere:
                first.setdefault(base, index)
                last[base] = index
    return first, last
