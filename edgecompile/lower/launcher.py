"""The generated C of a network for a GPU: a header, and a launcher that needs nothing but the CUDA driver.

The launcher makes one allocation on the GPU, in which weights, arena, inputs and outputs have their places,
and plays a list of launches, as one CUDA graph if it may. The text is in `templates/gpu.*.j2`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgecompile.lower.entry import comment_text, templates
from edgecompile.lower.grids import GpuKernel, Launch
from edgecompile.lower.program import Step
from edgecompile.lower.storage import Location, Storage

# What cuMemAlloc aligns to; every region begins at such an address.
_ALIGN = 256


@dataclass(frozen=True)
class LauncherSources:
    """Text of `include/NAME.h` and `src/NAME.c`, and how many bytes the engine allocates on the GPU."""

    header: str
    source: str
    device_bytes: int


@dataclass(frozen=True)
class Region:
    """A part of the allocation on the GPU, in bytes."""

    offset: int
    nbytes: int


def generate_launcher(
    name: str, storage: Storage, kernels: Mapping[str, GpuKernel], arch: str
) -> LauncherSources:
    """C sources for a placed program of `kernels` by symbol.

    `name` is a C identifier and prefixes every symbol.
    """
    regions, size = _regions(storage)
    table = _Table(storage)
    for index, step in enumerate(storage.program.steps):
        table.add(index, step, kernels)
    values = {
        "name": name,
        "upper": name.upper(),
        "arch": arch,
        "inputs": storage.program.inputs,
        "outputs": storage.program.outputs,
        "device_bytes": size,
        "weight_bytes": len(storage.weights),
        "arena_bytes": storage.plan.arena_bytes,
        "regions": regions,
        "functions": list(table.functions),
        "launches": table.launches,
        "arguments": table.arguments,
        "most_arguments": max([launch["count"] for launch in table.launches], default=0),
        "steps": table.steps,
        "most_results": max([step["count"] for step in table.steps], default=0),
    }
    header, source = (templates().get_template(f"gpu.{kind}.j2").render(values) for kind in ("h", "c"))
    return LauncherSources(header, source, size)


def _regions(storage: Storage) -> tuple[list[Region], int]:
    """Weights, arena, inputs and outputs one after the other, and the size of all."""
    program = storage.program
    sizes = [len(storage.weights), storage.plan.arena_bytes]
    sizes += [tensor.nbytes for tensor in (*program.inputs, *program.outputs)]
    regions, offset = [], 0
    for nbytes in sizes:
        regions.append(Region(offset, nbytes))
        offset += -(-nbytes // _ALIGN) * _ALIGN
    # The driver allocates nothing for 0 bytes.
    return regions, max(offset, _ALIGN)


class _Table:
    """The launches of a program, the names of their functions by number, and what they take."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.functions: dict[str, int] = {}
        self.launches: list[dict[str, Any]] = []
        self.arguments: list[dict[str, int]] = []
        self.steps: list[dict[str, Any]] = []

    def add(self, index: int, step: Step, kernels: Mapping[str, GpuKernel]) -> None:
        """One step: its launches, and what it writes."""
        self._add_launches(index, step, kernels)
        values = self.storage.program.values
        results = [self._place(name) | {"bytes": values[name].nbytes} for name in step.writes]
        self.steps.append({"launches": len(self.launches), "count": len(results), "results": results})

    def _add_launches(self, index: int, step: Step, kernels: Mapping[str, GpuKernel]) -> None:
        """A copy is a launch without a function."""
        places = [self._place(name) for name in (*step.reads, *step.writes)]
        if not step.symbol:
            copied = Launch("", (1, 1, 1), 1, (0, 1))
            self._launch(copied, step, places, self.storage.program.values[step.writes[0]].nbytes)
            return
        kernel = kernels[step.symbol]
        for launch in kernel.launches:
            workspace = [self._number(self.storage.locate_workspace(index))] if launch.works_there else []
            self._launch(launch, step, [places[i] for i in launch.arguments] + workspace, 0)

    def _launch(self, launch: Launch, step: Step, places: Sequence[dict[str, int]], nbytes: int) -> None:
        number = self.functions.setdefault(launch.name, len(self.functions)) if launch.name else -1
        self.launches.append(
            {
                "function": number,
                "blocks": launch.blocks,
                "threads": launch.threads,
                "first": len(self.arguments),
                "count": len(places),
                "bytes": nbytes,
                "layers": comment_text(" + ".join(step.layers)),
            }
        )
        self.arguments += places

    def _place(self, name: str) -> dict[str, int]:
        return self._number(self.storage.locate(name))

    def _number(self, place: Location) -> dict[str, int]:
        """A place by the number of its region in the launcher."""
        inputs = len(self.storage.program.inputs)
        first = {"weights": 0, "arena": 1, "input": 2, "output": 2 + inputs}[place.region]
        return {"region": first + place.index, "offset": place.offset}
