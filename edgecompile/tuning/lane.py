"""One device of a session: leased for each batch, asked again after failures, left out after too many."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from edgecompile.core.device import Device
from edgecompile.core.store import cache_dir
from edgecompile.errors import DeviceError, EdgeCompileError, Problem
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.measure import Bench, Meter, Outcome

if TYPE_CHECKING:
    from filelock import FileLock

Result = TypeVar("Result")

# A device is left out after so many failures in a row.
_STRIKES = 4
# Seconds for another session to end its batch.
_LEASE_S = 600.0


@dataclass(frozen=True)
class Use:
    """What became of a device in a session: how many candidates it measured and how often it failed.

    `out` says why it takes part no more.
    """

    device: str
    trials: int
    failures: int
    out: str


@dataclass
class Lane:
    """A device, what it is (`described`), how many candidates it measured and how often it failed.

    After its first failure it gets `pause_s` seconds, after each further one twice as many: a board takes a
    while to start again. `out` says why it takes part no more.
    """

    bench: Bench
    pause_s: float
    described: str = ""
    trials: int = 0
    failures: int = 0
    out: str = ""
    _entered: bool = False
    _meters: dict[int, Meter] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The device as it was written after --device."""
        return self.bench.device.name

    @property
    def use(self) -> Use:
        """What became of the device."""
        return Use(self.described or self.name, self.trials, self.failures, self.out)

    def contact(self) -> None:
        """Connect and ask for the device's health. Raises DeviceError, MissingToolError."""
        if not self._entered:
            self.bench.device.__enter__()
            self._entered = True
            self.described = f"{self.name}: {self.bench.device.health()}"

    def leave(self) -> None:
        """Disconnect; of a device that is lost nothing is expected."""
        if self._entered:
            self._entered = False
            with contextlib.suppress(EdgeCompileError):
                self.bench.device.__exit__(None, None, None)

    def measure(self, task: int, programs: Sequence[Trials], ending: threading.Event) -> dict[int, Outcome]:
        """The outcomes of all candidates in `programs`, by their places in the task. Raises as `insist`."""
        return self.insist(lambda device: self._measure(task, programs), ending)

    def insist(self, work: Callable[[Device], Result], ending: threading.Event) -> Result:
        """As `lend`, again and again while the device fails.

        Raises the last DeviceError when the device is `out`, or `ending` is set before it works again.
        """
        for strike in range(_STRIKES):
            try:
                return self.lend(work, ending)
            except DeviceError as error:
                self.failures += 1
                self.leave()
                last = error
            if strike + 1 == _STRIKES:
                self.out = str(last.problems[0])
            elif ending.wait(self.pause_s * 2**strike):
                break
        raise last

    def lend(self, work: Callable[[Device], Result], ending: threading.Event) -> Result:
        """What `work` makes of the device, which nobody else uses meanwhile. Raises DeviceError."""
        self.contact()
        with self._lease(ending):
            return work(self.bench.device)

    def _measure(self, task: int, programs: Sequence[Trials]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        for program in programs:
            meter = self._meters.setdefault(task, Meter(self.bench, program.inputs, program.outputs))
            outcomes |= meter.measure(program)
        self.trials += len(outcomes)
        return outcomes

    @contextmanager
    def _lease(self, ending: threading.Event) -> Iterator[None]:
        """Be the only session on this device; emulators and stand-ins are nobody's.

        Locks of the operating system, which end with their process however that ends. Whoever waits for the
        device holds the turn: a session that gives it back and wants it again comes after the one that waits.
        """
        if self.bench.device.level != "executed-on-device":
            yield
            return
        from filelock import FileLock

        folder = cache_dir() / "leases"
        folder.mkdir(exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9.-]", "_", self.name)
        turn, lock = (FileLock(folder / f"{name}.{kind}") for kind in ("turn", "lock"))
        until = time.monotonic() + _LEASE_S
        try:
            self._acquire(turn, until, ending)
            self._acquire(lock, until, ending)
            turn.release()
            yield
        finally:
            turn.release()
            lock.release()

    def _acquire(self, lock: FileLock, until: float, ending: threading.Event) -> None:
        from filelock import Timeout

        while not lock.is_locked:
            if ending.is_set() or time.monotonic() > until:
                what, fix = "another session measures on the device", "end it, or use another device"
                raise DeviceError(Problem("EC7014", what, self.name, f"since {_LEASE_S:.0f} s", fix))
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0.5)
