"""Variants of a whole network in one program: they take turns, and find the caches as networks leave them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import numpy as np

from edgecompile.backends.backend import BuildRequest
from edgecompile.backends.cuda.files import FOLDER, KERNELS
from edgecompile.backends.cuda.program import machine_for
from edgecompile.backends.find import find_backend
from edgecompile.core.device import Device, RunRequest, RunResult
from edgecompile.core.fork import Forked, WorkFailedError
from edgecompile.core.model import Model
from edgecompile.core.target import Target
from edgecompile.errors import DeviceError
from edgecompile.passes.prove import generate_inputs, index_bounds
from edgecompile.toolchain.build import build_program
from edgecompile.toolchain.find import find_toolchain
from edgecompile.tuning.measure import failure_of
from edgecompile.tuning.operands import agrees
from edgecompile.tuning.program import (
    HARNESS,
    harness_template,
    input_bytes,
    layout,
    output_arrays,
    output_size,
)
from edgecompile.tuning.record import Failure, Json, Trial
from edgecompile.tuning.selection import Selection

Array = np.ndarray[Any, Any]
# The candidates of some kernels by their workloads; all other kernels are built as usual.
Variant: TypeAlias = Mapping[str, Json]
Figures: TypeAlias = "list[float | Failure]"


class Lend(Protocol):
    """What work makes of a device that nobody else uses meanwhile, and which one that was."""

    def __call__(self, work: Callable[[Device], Figures], /) -> tuple[Figures, str]: ...


# Turns of each variant, about how long one is, and how long all may take: many short ones, of which few are
# interrupted by other programs.
_TURNS, _TURN_NS, _TOTAL_NS = 120, 500_000, 5_000_000_000
# Of a variant's times that one counts below which a quarter of them lies. Both halves of the turns have to
# agree about it to this share; all turns are repeated so often for that.
_QUANTILE, _AGREEMENT, _ATTEMPTS = 0.25, 0.02, 4
# Seconds to build all variants, and to run them.
_BUILD_S, _RUN_S = 900.0, 300.0


class NetworkBench:
    """Measures variants of an optimized network `model` on devices like `device`. To be entered and left.

    Make it before other threads and files: variants are built in a copy of the process.
    """

    def __init__(self, model: Model, target: Target, device: Device | None = None) -> None:
        self.inputs, self.outputs = model.inputs, model.outputs
        arrays = generate_inputs(model.inputs, 0, index_bounds(model))
        self._data = input_bytes(self.inputs, [arrays[info.name] for info in self.inputs])
        self._forked = Forked(partial(_build, model, target, device))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forked.__exit__(kind, error, trace)

    def compare(self, variants: Sequence[Variant], lend: Lend) -> tuple[Figures, str]:
        """Seconds of one inference of each on a device with a clock, and which device that was.

        A variant fails that computes something else than the first, or whose time cannot be told; all fail
        when they cannot be built, or their program crashes twice. Raises DeviceError.
        """
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
            try:
                program = self._forked.call(variants, Path(folder), timeout_s=_BUILD_S)
            except WorkFailedError:
                return ["build"] * len(variants), ""
            request = RunRequest(
                program,
                self._data,
                samples=len(variants),
                output_bytes=output_size(self.outputs),
                repeats=_TURNS,
                timeout_s=_RUN_S,
            )
            crashes: list[Failure] = []
            return lend(lambda device: self._measure(device, request, crashes))

    def _measure(self, device: Device, request: RunRequest, crashes: list[Failure]) -> Figures:
        """Of the first crash nobody knows whether it is the device's, so it is one; the next is not."""
        count = request.samples
        table = np.zeros((0, count))
        for _ in range(_ATTEMPTS):
            try:
                result = device.run(request)
            except DeviceError as error:
                failure = failure_of(error)
                if failure is None or not crashes:
                    crashes += [failure] if failure else []
                    raise
                return [failure] * count
            table = np.concatenate([table, _table(result, count)])
            if all(_is_settled(table, place) for place in range(count)):
                break
        right = self._are_right(result, count)
        return [_judge(table, place, fine) for place, fine in enumerate(right)]

    def _are_right(self, result: RunResult, count: int) -> list[bool]:
        """Whether each variant computes what the first one does."""
        size = output_size(self.outputs)
        pieces = [result.outputs[at : at + size] for at in range(0, size * count, size)]
        arrays = [output_arrays(self.outputs, piece) for piece in pieces]
        return [all(map(agrees, got, arrays[0])) for got in arrays]


def _table(result: RunResult, count: int) -> Array:
    """Nanoseconds [turns, variants]."""
    table = np.array(result.nanoseconds, np.float64).reshape(-1, count)
    # Every second time they took turns in the opposite order.
    table[1::2] = table[1::2, ::-1]
    return table


def _relative(table: Array, place: int) -> float:
    """What a variant takes in comparison with the first."""
    low = np.quantile(table, _QUANTILE, axis=0)
    return float(low[place] / low[0])


def _is_settled(table: Array, place: int) -> bool:
    first, second = (_relative(half, place) for half in np.array_split(table, 2))
    return abs(first / second - 1) < _AGREEMENT


def _judge(table: Array, place: int, is_right: bool) -> float | Failure:
    if not is_right:
        return "wrong"
    if not _is_settled(table, place):
        return "noisy"
    return _relative(table, place) * float(np.quantile(table[:, 0], _QUANTILE)) * 1e-9


def _build(
    model: Model, target: Target, device: Device | None, variants: Sequence[Variant], folder: Path
) -> Path:
    """The program with all `variants`, written to `folder`."""
    names = [f"variant_{index}" for index in range(len(variants))]
    backend, emit = find_backend(target), target.codegen.route
    sources, objects, flags, arena = [folder / "networks.c"], [], ["-I", str(folder)], 1
    for name, variant in zip(names, variants, strict=True):
        part = folder / name
        part.mkdir()
        request = BuildRequest(name, target, emit, _selection(variant, target).plans)
        arena = max(arena, backend.build(model.copy(), request, part).manifest.memory.arena)
        flags += ["-I", str(part / "include")]
        sources += sorted((part / "src").glob("*.c")) if emit == "c" else []
        objects += [] if emit == "c" else [part / "lib" / f"lib{name}.a"]
    shutil.copy(HARNESS / "networks.c", folder)
    (inputs, input_size), (outputs, size) = layout(model.inputs), layout(model.outputs)
    text = harness_template("networks.h.j2").render(
        names=names,
        engines=target.backend == "cuda",
        inputs=list(inputs.values()),
        outputs=list(outputs.values()),
        input_bytes=input_size,
        output_bytes=size,
        arena_bytes=arena,
        turn_ns=_TURN_NS,
        total_ns=_TOTAL_NS,
    )
    (folder / "networks.h").write_text(text)
    machine, link_flags = target, tuple[str, ...]()
    if target.backend == "cuda":
        kernels = "".join((folder / name / FOLDER / KERNELS).read_text() for name in names)
        machine, link_flags = machine_for(device, target, kernels, folder)
    toolchain = find_toolchain(machine, executable=True)
    return build_program(
        sources, objects, flags, machine, toolchain, folder / "networks", link_flags=link_flags
    )


def _selection(variant: Variant, target: Target) -> Selection:
    """Who chooses the plans of a variant."""
    wanted = variant.items()
    return Selection({key: Trial(key, target.name, "seconds", one, 0.0, "", {}) for key, one in wanted})
