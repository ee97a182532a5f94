"""A session's view of a fleet: devices and builders that are other machines' (see fleet_worker.py).

They are used like those of this machine, so a device that is lost with its worker is contacted again, left
out after too many failures, and another one measures what it had (pool.py, lane.py). Only the session writes
records. What was to be built by a worker that is lost is given to another one by the scheduler.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from edgecompile.core.device import Metric, Platform, RunRequest, RunResult
from edgecompile.core.fork import WorkFailedError
from edgecompile.core.model import Model
from edgecompile.core.target import Target
from edgecompile.errors import DeviceError, EdgeCompileError, Problem
from edgecompile.lower.codegen import resolve_native
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.fleet_access import Access, load_distributed
from edgecompile.tuning.fleet_worker import BUILD, Offer, Recipe, build, contact, execute, offered
from edgecompile.tuning.versions import tool_versions

# Seconds to connect; seconds between two looks at whether those that work are still there.
_CONNECT_S, _GLANCE_S = 15, 1.0
# How often a batch is built again when something is wrong with a worker.
_RETRIES = 2


class Fleet:
    """What the workers of a fleet offer for programs of `target`. To be entered and left."""

    def __init__(self, access: Access, target: Target) -> None:
        self._access = access
        self.target = portable(target)
        self._ending = threading.Event()
        self._offers: list[Offer] = []
        self._client: Any = None

    def __enter__(self) -> Self:
        """Connect. Raises DeviceError: EC7017 without a scheduler, EC7016 without workers that fit."""
        distributed = load_distributed()
        security = self._access.security()
        # Networks and programs are what they are.
        warnings.filterwarnings("ignore", "Sending large graph", UserWarning)
        try:
            self._client = distributed.Client(
                self._access.scheduler,
                security=security,
                timeout=_CONNECT_S,
                set_as_default=False,
                name="edgecompile",
            )
        except (OSError, TimeoutError) as error:
            raise self._lost(str(error)) from None
        try:
            self._find_workers()
        except BaseException:
            self._client.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._client.close(timeout=2)

    def stop(self) -> None:
        """Have all calls that are under way end."""
        self._ending.set()

    @property
    def devices(self) -> list[FleetDevice]:
        """All devices for the target."""
        return [FleetDevice(self, offer) for offer in self._offers if offer.target == self.target.name]

    def builders(self, model: Model, tasks: Sequence[KernelTask], threads: int) -> list[FleetBuilder]:
        """Builders of programs for `tasks`, which are those of the optimized `model`."""
        keys = tuple(task.task.workload.key for task in tasks)
        recipe = Recipe(model.to_bytes(), self.target, threads, keys)
        shared = self._client.submit(_same, recipe, pure=False)
        return [FleetBuilder(self, shared) for offer in self._offers for _ in range(offer.builders)]

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        resource: str,
        lost: Callable[[], DeviceError],
        retries: int = 0,
    ) -> Any:
        """`function(*arguments)` on a worker that offers `resource`, up to `retries` times more.

        Raises what the function raises, lost() when no such worker is left, DeviceError (EC7017), and
        WorkFailedError when several workers were lost while they did it.
        """
        killed = load_distributed().KilledWorker
        try:
            future = self._client.submit(
                function, *arguments, resources={resource: 1}, retries=retries, pure=False
            )
            while True:
                try:
                    return future.result(timeout=_GLANCE_S)
                except TimeoutError:
                    if self._ending.is_set() or resource not in self._client.run_on_scheduler(_resources):
                        future.cancel()
                        raise lost() from None
        except killed as error:
            raise WorkFailedError(str(error)) from None
        except EdgeCompileError:
            raise
        except Exception as error:
            if self._client.status == "running" and not isinstance(error, (OSError, CancelledError)):
                raise
            raise self._lost(str(error)) from None

    def _find_workers(self) -> None:
        found = self._client.run(offered, on_error="ignore")
        offers = [offer for offer in found.values() if isinstance(offer, Offer)]
        misfits = {offer.name: reason for offer in offers if (reason := self.misfit(offer))}
        self._offers = sorted(
            (offer for offer in offers if offer.name not in misfits), key=lambda offer: offer.name
        )
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(misfits.items()))
        if misfits:
            warnings.warn(f"workers of the fleet that are not used: {reasons}", stacklevel=2)
        lacking = [] if self.devices else [f"has a device for '{self.target.name}'"]
        lacking += [] if any(offer.builders for offer in self._offers) else ["builds"]
        if lacking:
            what = f"no worker of the fleet {' or '.join(lacking)}"
            fix = f"start one: edgecompile fleet worker FILE -t {self.target.name}"
            raise DeviceError(Problem("EC7016", what, self._access.scheduler, reasons, fix))

    def misfit(self, offer: Offer) -> str:
        """Why a worker is of no use, else ""."""
        wanted = tool_versions()
        if offer.versions != wanted:
            differing = [f"{name} {found}" for name, found in offer.versions.items() if found != wanted[name]]
            return f"it has {', '.join(differing)}"
        if offer.target == self.target.name and offer.cpu != self.target.isa.cpu:
            return f"its processor is {offer.cpu}, that of the session {self.target.isa.cpu}"
        return ""

    def _lost(self, why: str) -> DeviceError:
        what, fix = "the scheduler of the fleet cannot be reached", "start it, then give the command again"
        return DeviceError(Problem("EC7017", what, self._access.scheduler, why, fix))


@dataclass(frozen=True)
class FleetDevice:
    """The device of a worker."""

    fleet: Fleet
    offer: Offer
    platform: Platform | None = None

    @property
    def name(self) -> str:
        return self.offer.name

    @property
    def level(self) -> str:
        return self.offer.level

    @property
    def metric(self) -> Metric:
        return self.offer.metric

    def __enter__(self) -> Self:
        """The worker has contacted it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """It is the worker's."""

    def run(self, request: RunRequest) -> RunResult:
        """Execute there. Raises DeviceError: EC7018 when the worker is lost, else as the device."""
        code = request.executable.read_bytes()
        result: RunResult = self._call(execute, code, replace(request, executable=Path()))
        return result

    def health(self) -> str:
        described: str = self._call(contact)
        return described

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return self.fleet.call(function, *arguments, resource=self.offer.device, lost=self._lost)
        except WorkFailedError:
            raise self._lost() from None

    def _lost(self) -> DeviceError:
        fix = "start the worker again"
        return DeviceError(Problem("EC7018", "the worker with the device is lost", self.name, "", fix))


@dataclass(frozen=True)
class FleetBuilder:
    """Has programs built by any worker; as `Builder`."""

    fleet: Fleet
    recipe: Any

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.fleet.stop()

    def build(self, task: int, chosen: Sequence[int], folder: Path) -> list[Trials]:
        """As `Builder.build`. Raises DeviceError (EC7019) when there is no worker left that builds."""
        try:
            found = self.fleet.call(
                build, self.recipe, task, tuple(chosen), resource=BUILD, lost=self._lost, retries=_RETRIES
            )
        except WorkFailedError:
            if len(chosen) < 2:
                return []
            return [one for index in chosen for one in self.build(task, (index,), folder / str(index))]
        return [
            Trials(_write(folder / str(number), one.code), one.chosen, one.inputs, one.outputs)
            for number, one in enumerate(found)
        ]

    def _lost(self) -> DeviceError:
        what, fix = "no worker of the fleet is left that builds", "start one, then give the command again"
        return DeviceError(Problem("EC7019", what, "", "", fix))


def portable(target: Target) -> Target:
    """`target` for programs that are executed on other machines with a processor of the same kind."""
    return replace(target, isa=resolve_native(target.isa))


def _write(path: Path, code: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(code)
    path.chmod(0o755)
    return path


def _same(recipe: Recipe) -> Recipe:
    """A value that the scheduler can make again when the workers that had it are lost."""
    return recipe


def _resources(dask_scheduler: Any) -> set[str]:
    """What any worker offers. Executed by the scheduler."""
    return {name for name, workers in dask_scheduler.resources.items() if workers}
