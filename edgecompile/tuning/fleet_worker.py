"""A worker of a fleet: builds programs of candidates for sessions elsewhere, and executes them on its device.

Tasks are found in the network again, by processes that do nothing else: what is built from is a graph, which
travels as a file. A device belongs to one worker, which takes turns on it with sessions of its own machine.
The scheduler imports this module too, and has no use for compilers.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompile.core.device import Metric, RunRequest, RunResult
from edgecompile.core.model import Model, Provenance
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import DeviceError, EdgeCompileError, Problem, UsageError
from edgecompile.tuning.fleet_access import Access, load_distributed
from edgecompile.tuning.fleet_scheduler import no_scheduler
from edgecompile.tuning.versions import tool_versions

if TYPE_CHECKING:
    from edgecompile.tuning.builder import Builder
    from edgecompile.tuning.lane import Lane
    from edgecompile.tuning.measure import Bench

# What a worker that builds offers the scheduler; a device is offered under its worker's name.
BUILD = "build"
# Seconds to wait for the scheduler.
_SCHEDULER_S = 30


@dataclass(frozen=True)
class Offer:
    """What a worker has: so many `builders`, and the device `described`, for programs of `target`.

    Without a device `target` is "". `cpu` is what it is, in LLVM's spelling.
    """

    name: str
    builders: int
    versions: Mapping[str, str]
    target: str = ""
    cpu: str = ""
    described: str = ""
    metric: Metric = "seconds"
    level: str = ""

    @property
    def device(self) -> str:
        """The name of the worker's device for the scheduler."""
        return f"device {self.name}"


@dataclass(frozen=True)
class Recipe:
    """What the tasks of a session are found in: an optimized `network` (ONNX), for resolved instructions.

    `workloads` are the keys of the tasks.
    """

    network: bytes
    target: Target
    threads: int
    workloads: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """As `builder.Trials`, with the bytes of the executable."""

    code: bytes
    chosen: tuple[int, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


@dataclass
class Site:
    """What this process does for sessions."""

    offer: Offer
    lane: Lane | None
    idle: list[_Apart] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


_site: Site | None = None


def offered() -> Offer | None:
    """What this worker offers; None for workers of other programs."""
    return _site.offer if _site else None


def contact() -> str:
    """What the device is. Raises DeviceError."""
    lane = _lane()
    lane.contact()
    return lane.described


def execute(code: bytes, request: RunRequest) -> RunResult:
    """Execute the program `code` on this worker's device. Raises DeviceError."""
    lane = _lane()
    with _folder() as folder:
        program = folder / "trials"
        program.write_bytes(code)
        program.chmod(0o755)
        try:
            return lane.lend(
                lambda device: device.run(replace(request, executable=program)), threading.Event()
            )
        except DeviceError:
            lane.leave()
            raise


def build(recipe: Recipe, task: int, chosen: Sequence[int]) -> list[Program]:
    """Programs that together measure the candidates `chosen`, as `Builder.build`. Raises as that."""
    assert _site is not None
    with _site.lock:
        fitting = next((one for one in _site.idle if one.recipe == recipe), None)
        # Of other sessions' processes the one that was idle longest makes room.
        other = fitting or (_site.idle[0] if _site.idle else None)
        if other is not None:
            _site.idle.remove(other)
    if fitting is None:
        if other is not None:
            other.end()
        fitting = _Apart(recipe)
    try:
        found = fitting.build(task, chosen)
    except (EOFError, ConnectionError):
        fitting.end()
        what, fix = "the process that builds has ended", "look for what killed it, e.g. want of memory"
        raise DeviceError(Problem("EC7019", what, _site.offer.name, "", fix)) from None
    with _site.lock:
        _site.idle.append(fitting)
    if isinstance(found, EdgeCompileError):
        raise found
    return found


class _Apart:
    """A process without threads that has found the tasks of a recipe; it ends when this one does."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        context = multiprocessing.get_context("spawn")
        self._link, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(recipe, theirs))
        self._process.start()
        theirs.close()

    def build(self, task: int, chosen: Sequence[int]) -> list[Program] | EdgeCompileError:
        """Programs, or what `Builder.build` raised. Raises EOFError, ConnectionError without the process."""
        self._link.send((task, tuple(chosen)))
        found: list[Program] | EdgeCompileError = self._link.recv()
        return found

    def end(self) -> None:
        """End the process, whatever it does."""
        self._link.close()
        self._process.kill()
        self._process.join()


def _serve(recipe: Recipe, link: Connection) -> None:
    """What a process for builds does until nobody can ask it any more."""
    # TVM would load it where it is installed, which takes longer than all else.
    sys.modules["torch"] = None  # type: ignore[assignment]
    from edgecompile.tuning.builder import Builder
    from edgecompile.tuning.extract import find_tasks

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    model = Model.from_bytes(recipe.network, Provenance("", "", 0))
    tasks = find_tasks(model, recipe.target, recipe.target.codegen.route, recipe.threads)
    assert tuple(task.task.workload.key for task in tasks) == recipe.workloads
    with Builder(tasks, recipe.target) as builder, contextlib.suppress(EOFError, ConnectionError):
        while True:
            link.send(_built(builder, *link.recv()))


def _built(builder: Builder, task: int, chosen: Sequence[int]) -> list[Program] | EdgeCompileError:
    try:
        with _folder() as folder:
            return [
                Program(one.executable.read_bytes(), one.chosen, one.inputs, one.outputs)
                for one in builder.build(task, chosen, folder)
            ]
    except EdgeCompileError as error:
        return error


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for some seconds. What cannot be written there is the worker's failure (EC7019)."""
    try:
        with tempfile.TemporaryDirectory(prefix="edgecompile-") as name:
            yield Path(name)
    except OSError as error:
        what, fix = "a worker cannot work in its folder for temporary files", "make room there, or set TMPDIR"
        where = f"{os.uname().nodename}:{tempfile.gettempdir()}"
        raise DeviceError(Problem("EC7019", what, where, str(error), fix)) from None


def run_worker(
    access: Access, name: str, builders: int, bench: Bench | None, notify: Callable[[Offer], None]
) -> None:
    """Work for the fleet until interrupted, with the device of `bench`; `notify` is told when it begins.

    Raises UsageError (EC2043) for a device that needs files of its own in every program, DeviceError (EC7017)
    without a scheduler, and for a device that cannot be reached.
    """
    global _site
    offer, lane = Offer(name, builders, tool_versions()), None
    if bench is not None:
        from edgecompile.tuning.lane import Lane

        lane = Lane(bench, 0.0)
        offer = _with_device(offer, lane)
    _site = Site(offer, lane)
    try:
        asyncio.run(_work(access, offer, notify))
    except (OSError, RuntimeError) as error:
        raise no_scheduler(access, error) from None
    finally:
        if lane is not None:
            lane.leave()
    raise no_scheduler(access, OSError("the connection has ended"))


def _with_device(offer: Offer, lane: Lane) -> Offer:
    from edgecompile.lower.codegen import resolve_native

    device, target = lane.bench.device, lane.bench.target
    if device.platform is not None or device.level == "simulated":
        what, why = "the device cannot be shared", "programs for it are linked with files of its machine"
        raise UsageError(Problem("EC2043", what, device.name, why, "run `edgecompile tune` there"))
    lane.contact()
    cpu = resolve_native(target.isa).cpu
    return replace(
        offer,
        target=target.name,
        cpu=cpu,
        described=lane.described,
        metric=device.metric,
        level=device.level,
    )


async def _work(access: Access, offer: Offer, notify: Callable[[Offer], None]) -> None:
    resources = {BUILD: offer.builders, offer.device: int(bool(offer.target))}
    worker = load_distributed().Worker(
        access.scheduler,
        name=offer.name,
        nthreads=offer.builders + 2,
        resources={resource: count for resource, count in resources.items() if count},
        security=access.security(),
        protocol=access.protocol,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
        memory_limit=0,
        death_timeout=_SCHEDULER_S,
        local_directory=tempfile.gettempdir(),
    )
    async with worker:
        notify(offer)
        await worker.finished()


def _lane() -> Lane:
    assert _site is not None
    assert _site.lane is not None
    return _site.lane


def usual_name(device: str) -> str:
    """A worker's name: its machine, and its device."""
    return "-".join(filter(None, (os.uname().nodename, device)))


def usual_builders(device: str) -> int:
    """One for each core; a device that is this machine needs a core to itself."""
    return max(1, (os.cpu_count() or 1) - (device == "local"))
