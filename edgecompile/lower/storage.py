"""Where every value of a program lives: caller buffer, weights or arena, with its byte offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgecompile.lower.memory import MemoryPlan, arena_intervals, plan_memory, workspace_name
from edgecompile.lower.program import Program

Region = Literal["input", "output", "weights", "arena"]


@dataclass(frozen=True)
class Location:
    """`offset` bytes into a region; `index` is the caller buffer's number (0 for weights and arena)."""

    region: Region
    index: int
    offset: int


@dataclass(frozen=True)
class Storage:
    """The placement of a whole program. `weights` is the blob that the artifact carries."""

    plan: MemoryPlan
    weights: bytes
    locations: dict[str, Location]
    program: Program

    def locate(self, name: str) -> Location:
        """The location of a value, through its aliases."""
        alias = self.program.resolve(name)
        base = self.locations[alias.base]
        return Location(base.region, base.index, base.offset + alias.offset)

    def locate_workspace(self, step: int) -> Location:
        return Location("arena", 0, self.plan.offsets[workspace_name(step)])


def assign_storage(program: Program, align: int) -> Storage:
    """Place every value; offsets are multiples of `align` bytes."""
    weights, offsets = pack_weights(program, align)
    locations = {name: Location("weights", 0, offset) for name, offset in offsets.items()}
    for index, info in enumerate(program.inputs):
        locations[info.name] = Location("input", index, 0)
    for index, owner in enumerate(program.output_owners):
        if owner:
            locations[owner] = Location("output", index, 0)
    intervals, reused = arena_intervals(program, set(locations))
    plan = plan_memory(intervals, align)
    locations |= {i.name: Location("arena", 0, plan.offsets.get(i.name, 0)) for i in intervals}
    locations |= {name: locations[owner] for name, owner in reused.items()}
    return Storage(plan, weights, locations, program)


def pack_weights(program: Program, align: int) -> tuple[bytes, dict[str, int]]:
    """All weights that are read, equal ones once, each aligned; returns the blob and offsets by name."""
    used = {program.resolve(name).base for step in program.steps for name in step.reads}
    blob = bytearray()
    offsets: dict[str, int] = {}
    seen: dict[bytes, int] = {}
    for name, array in program.weights.items():
        if name not in used:
            continue
        data = np.ascontiguousarray(array).tobytes()
        if data not in seen:
            blob.extend(b"\0" * (-len(blob) % align))
            seen[data] = len(blob)
            blob.extend(data)
        offsets[name] = seen[data]
    return bytes(blob), offsets
