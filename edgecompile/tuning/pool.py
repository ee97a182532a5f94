"""Devices that measure side by side, and the processes that build for them.

A batch is built by whichever builder is free, one for each core, then measured by whichever device is. While
one batch is measured the next ones are built; this machine measures on a core of its own. A device that fails
again and again is left out, and another one measures what it had; only when none is left the session ends.
"""

from __future__ import annotations

import errno
import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from edgecompile.core.device import Device, Metric
from edgecompile.core.process import kill_programs
from edgecompile.core.target import Target
from edgecompile.errors import DeviceError, Problem, StoppedError
from edgecompile.tuning.builder import Builder, Trials
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.lane import Lane, Use
from edgecompile.tuning.measure import Bench, Outcome

Result = TypeVar("Result")

# Seconds after the first failure of a device.
_PAUSE_S = 1.0
# A batch of programs takes some megabytes.
_ROOM_BYTES = 64 << 20


@dataclass(frozen=True)
class Measured:
    """The outcome of every candidate of a batch, by its place in the task; `device` is what measured it."""

    task: int
    outcomes: Mapping[int, Outcome]
    device: str


class ProgramBuilder(Protocol):
    """As `Builder`, here or elsewhere."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def build(self, task: int, chosen: Sequence[int], folder: Path) -> Sequence[Trials]: ...


class Pool:
    """Builds and measures candidates of `tasks`. To be entered and left; leaving waits for nothing.

    Without `builders` make it before other threads and files: they are copies of the process then. Raises
    DeviceError: EC7013 for devices that count different things or need different programs; on entering as
    `Lane.contact`.
    """

    def __init__(
        self,
        tasks: Sequence[KernelTask],
        target: Target,
        devices: Sequence[Device],
        builders: Sequence[ProgramBuilder] = (),
    ) -> None:
        self.target, self.metric = target, _metric_of(devices)
        self.lanes = [Lane(Bench(target, device, self.metric), _PAUSE_S) for device in devices]
        self._ending = threading.Event()
        self._futures: list[Future[Measured]] = []
        cores = os.cpu_count() or 1
        self._builders = builders or [Builder(tasks, target, devices[0]) for _ in range(cores)]
        # Whoever builds or measures on this machine takes one.
        self._cores = nullcontext() if builders else threading.Semaphore(cores)
        self._free_builders: queue.Queue[ProgramBuilder] = queue.Queue()
        # None when no lane is left.
        self._free_lanes: queue.Queue[Lane | None] = queue.Queue()
        self._executor = ThreadPoolExecutor(len(self._builders) + len(devices))

    @property
    def is_full(self) -> bool:
        """Whether another batch would only wait."""
        return len(self._futures) >= len(self._builders) + sum(not lane.out for lane in self.lanes)

    @property
    def is_idle(self) -> bool:
        """Whether there is no result to wait for."""
        return not self._futures

    @property
    def described(self) -> str:
        """The devices, for people."""
        return "; ".join(lane.described or lane.name for lane in self.lanes)

    @property
    def uses(self) -> list[Use]:
        """What became of each device."""
        return [lane.use for lane in self.lanes]

    def __enter__(self) -> Self:
        try:
            for lane in self.lanes:
                self._contact(lane)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        for builder in self._builders:
            self._free_builders.put(builder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        for builder in self._builders:
            builder.__exit__(kind, error, trace)
        self._free_lanes.put(None)
        self._executor.shutdown(wait=False, cancel_futures=True)
        # Again and again: whoever measures takes the killed program for a bad one and starts the next.
        begun = [future for future in self._futures if not future.cancelled()]
        while wait(begun, timeout=0.05).not_done:
            kill_programs()
        for lane in self.lanes:
            lane.leave()

    def submit(self, task: int, chosen: Sequence[int]) -> None:
        """Have candidates of a task measured; `result` will return them."""
        self._futures.append(self._executor.submit(self._work, task, tuple(chosen)))

    def result(self) -> Measured:
        """Wait for a batch. With one device they come in the order in which they were submitted.

        Raises DeviceError (EC7012) when no device is left, StoppedError (EC8002) when there is no room for
        programs, and what building raises.
        """
        candidates = self._futures if len(self.lanes) > 1 else self._futures[:1]
        wait(candidates, return_when=FIRST_COMPLETED)
        first = next(future for future in candidates if future.done())
        self._futures.remove(first)
        return first.result()

    def lend(self, work: Callable[[Device], Result]) -> tuple[Result, str]:
        """What `work` makes of the first device that can, and which one that was.

        Raises DeviceError (EC7012) when no device is left.
        """
        return self._by_any(lambda lane: lane.insist(work, self._ending))

    def _contact(self, lane: Lane) -> None:
        """One that cannot be reached at the beginning is left out, unless it is the last one."""
        try:
            lane.contact()
            self._free_lanes.put(lane)
        except DeviceError as error:
            lane.out = str(error.problems[0])
            if all(lane.out for lane in self.lanes):
                raise

    def _work(self, task: int, chosen: tuple[int, ...]) -> Measured:
        try:
            return self._build_and_measure(task, chosen)
        except OSError as error:
            what, fix = "cannot work in the folder for temporary files", "make room there, or set TMPDIR"
            problem = Problem("EC8002", what, tempfile.gettempdir(), str(error), fix)
            raise StoppedError(problem) from None

    def _build_and_measure(self, task: int, chosen: tuple[int, ...]) -> Measured:
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
            builder = self._free_builders.get()
            try:
                with self._cores:
                    programs = builder.build(task, chosen, Path(folder))
                if len(programs) != 1:
                    _require_room(folder)
            finally:
                self._free_builders.put(builder)
            outcomes, device = (
                self._by_any(lambda lane: lane.measure(task, programs, self._ending))
                if programs
                else ({}, "")
            )
        return Measured(
            task, {index: outcomes.get(index, Outcome(None, "build")) for index in chosen}, device
        )

    def _by_any(self, use: Callable[[Lane], Result]) -> tuple[Result, str]:
        """What the first device makes of it that can, and which one that was."""
        while (lane := self._free_lanes.get()) is not None:
            try:
                with self._cores if lane.name == "local" else nullcontext():
                    return use(lane), lane.described
            except DeviceError:
                if not lane.out:
                    raise
            finally:
                if not lane.out:
                    self._free_lanes.put(lane)
            if all(one.out for one in self.lanes):
                break
        # Whoever else waits for a device shall know it too.
        self._free_lanes.put(None)
        reasons = "; ".join(lane.out for lane in self.lanes)
        fix = "attach one, then give the same command again: it goes on from the records"
        names = ", ".join(lane.name for lane in self.lanes)
        raise DeviceError(Problem("EC7012", "no device is left to measure on", names, reasons, fix))


def _require_room(folder: str) -> None:
    """Raise OSError when what failed in `folder` may have failed for want of room."""
    if shutil.disk_usage(folder).free < _ROOM_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _metric_of(devices: Sequence[Device]) -> Metric:
    first = devices[0]
    if all((device.metric, device.platform) == (first.metric, first.platform) for device in devices):
        return first.metric
    what = "devices that count different things, or need different programs, cannot share a session"
    names = ", ".join(f"{device.name} counts {device.metric}" for device in devices)
    raise DeviceError(Problem("EC7013", what, "--device", names, "give each kind a session of its own"))
