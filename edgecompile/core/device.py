"""The seam between what was compiled and where it is executed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self

# What a device counts when a program runs.
Metric = Literal["seconds", "cycles", "instructions"]


@dataclass(frozen=True)
class Platform:
    """What a program for a board is linked with in the place of what emulators of its processor need.

    `sources` implement toolchain/runner/board.h; `serial` programs talk over the board's serial line, others
    by semihosting. Without a `linker_script` the memories are those of the emulated board. With `own_startup`
    the sources bring the vector table and all that happens before main.
    """

    sources: tuple[Path, ...]
    serial: bool
    linker_script: Path | None = None
    flags: tuple[str, ...] = ()
    own_startup: bool = False


@dataclass(frozen=True)
class RunRequest:
    """Execute `executable`, a program built around a compiled network (see toolchain/runner).

    `inputs` holds `samples` samples back to back; each is the network's inputs, in order, unpadded, little
    endian. Each sample is run `repeats` times. `trace` asks for the intermediate tensors of the last
    sample (only an executable built with tracing can deliver them).
    """

    executable: Path
    inputs: bytes
    samples: int
    output_bytes: int
    repeats: int = 1
    count_instructions: bool = False
    trace: bool = False
    timeout_s: float = 600.0


@dataclass(frozen=True)
class RunResult:
    """What came back: `outputs` (samples * output_bytes), per-run times, exact counts under an emulator.

    `nanoseconds` has one entry a run (samples * repeats), empty where the device has no clock, and so have
    `cycles` where they are counted, and `run_instructions` where they are and the run was not traced.
    `instructions` is per inference; `step_instructions` and `step_nanoseconds` have one entry a kernel call
    and are present only for an executable built with tracing. `trace` is the bytes of all intermediate
    tensors in step order.
    """

    outputs: bytes
    nanoseconds: tuple[int, ...] = ()
    cycles: tuple[int, ...] = ()
    instructions: int | None = None
    run_instructions: tuple[int, ...] = ()
    step_instructions: tuple[int, ...] = ()
    step_nanoseconds: tuple[int, ...] = ()
    trace: bytes = b""
    notes: tuple[str, ...] = field(default=())


class Device(Protocol):
    """Something that executes programs: this machine, an emulator, a board over ssh or adb.

    `level` is the verification level that an execution here reaches: "executed-on-device" or
    "executed-in-emulator"; `metric` is what it tells of speed. Programs have to be linked for `platform`
    where that is not None. Used as a context manager; entering acquires
    the device, leaving releases it.
    """

    @property
    def name(self) -> str: ...

    @property
    def level(self) -> str: ...

    @property
    def metric(self) -> Metric: ...

    @property
    def platform(self) -> Platform | None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, request: RunRequest) -> RunResult:
        """Execute. Raises DeviceError (lost, crashed, timed out) or MissingToolError."""
        ...

    def health(self) -> str:
        """One line on what the device is, e.g. its CPU and OS; raises DeviceError when unreachable."""
        ...
