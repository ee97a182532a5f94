"""Several devices side by side: who measures what, who is left out, and how it ends."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from filelock import FileLock

from edgecompile.core.target import find_target
from edgecompile.errors import DeviceError, Problem
from edgecompile.tuning import pool as pooling
from edgecompile.tuning.builder import Trials
from edgecompile.tuning.lane import Lane
from edgecompile.tuning.measure import Bench
from edgecompile.tuning.pool import Pool
from tests.support.scripted import Scripted, trials

HOST = find_target("host")
TIMES = [1000.0, 800.0, 1200.0]


class NoBuilder:
    """Builds the same program for every batch; for task 9 none."""

    def __init__(self, *arguments: Any) -> None:
        """Nothing is copied."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""

    def build(self, task: int, chosen: Sequence[int], folder: Path) -> list[Trials]:
        return [] if task == 9 else [trials(3)]


@pytest.fixture(autouse=True)
def no_builders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooling, "Builder", NoBuilder)
    monkeypatch.setattr(pooling, "_PAUSE_S", 0.001)


def made(*devices: Any) -> Pool:
    return Pool([], HOST, devices)


def lost(*runs: int) -> Any:
    """What makes a device lost in some runs; in all of them without any."""

    def before(run: int) -> None:
        if run in runs or not runs:
            raise DeviceError(Problem("EC7001", "the device cannot be reached", "board"))

    return before


def test_one_device_measures_in_order() -> None:
    with made(Scripted(TIMES)) as pool:
        for task in (1, 0, 2):
            pool.submit(task, (10, 20))
        assert [pool.result().task for _ in range(3)] == [1, 0, 2]
        assert pool.is_idle
        assert pool.lanes[0].use.trials == 9


def test_only_what_was_asked_for_is_answered() -> None:
    with made(Scripted(TIMES)) as pool:
        pool.submit(0, (10,))
        measured = pool.result()
        assert list(measured.outcomes) == [10]
        assert measured.device == "scripted: well"


def test_what_cannot_be_built_fails_alone() -> None:
    with made(Scripted(TIMES)) as pool:
        pool.submit(9, (0, 10))
        assert {index: outcome.failure for index, outcome in pool.result().outcomes.items()} == {
            0: "build",
            10: "build",
        }


def test_devices_measure_at_the_same_time() -> None:
    """Each waits in its first run until the other one runs as well."""
    together = threading.Barrier(2, timeout=10)

    def meet(run: int) -> None:
        if run == 1:
            together.wait()

    devices = [Scripted(TIMES, before=meet, name=name) for name in ("a", "b")]
    with made(*devices) as pool:
        pool.submit(0, (10,))
        pool.submit(1, (10,))
        assert {pool.result().device for _ in range(2)} == {"a: well", "b: well"}


@pytest.mark.parametrize(("name", "most"), [("local", 1), ("ssh://me@board", 2)])
def test_this_machine_measures_on_a_core_of_its_own(
    name: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one core, a program is built while another device measures, but not while this machine does."""
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    lock, working, seen = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            working[0] += 1
            seen[0] = max(seen[0], working[0])
        time.sleep(0.02)
        with lock:
            working[0] -= 1

    def build(*arguments: Any) -> list[Trials]:
        work()
        return [trials(3)]

    monkeypatch.setattr(NoBuilder, "build", build)
    with made(Scripted(TIMES, name=name, before=lambda run: work())) as pool:
        for task in range(8):
            pool.submit(task, (10, 20))
        assert [pool.result().task for _ in range(8)] == list(range(8))
    assert seen[0] == most


def test_a_board_that_starts_again_measures_on() -> None:
    device = Scripted(TIMES, before=lost(2, 3, 4))
    with made(device) as pool:
        pool.submit(0, (10, 20))
        outcomes = pool.result().outcomes
        use = pool.lanes[0].use
    assert all(outcome.value for outcome in outcomes.values())
    assert (use.failures, use.out) == (3, "")


def test_another_device_takes_over_what_a_lost_one_had() -> None:
    with made(Scripted(TIMES, before=lost(), name="bad"), Scripted(TIMES, name="good")) as pool:
        for _ in range(4):
            pool.submit(0, (10, 20))
        devices = [pool.result().device for _ in range(4)]
        bad = pool.lanes[0].use
    assert devices == ["good: well"] * 4
    assert bad.failures == 4
    assert bad.out.startswith("error[EC7001] the device cannot be reached")


def test_without_a_device_it_ends_for_everybody() -> None:
    with made(*(Scripted(TIMES, before=lost(), name=name) for name in "ab")) as pool:
        for _ in range(3):
            pool.submit(0, (10,))
        for _ in range(3):
            with pytest.raises(DeviceError) as raised:
                pool.result()
            assert "error[EC7012] no device is left to measure on at 'a, b': error[EC7001]" in str(
                raised.value
            )
            assert "give the same command again: it goes on from the records" in str(raised.value)


def test_leaving_waits_for_nobody() -> None:
    begin = time.monotonic()
    with made(Scripted(TIMES, before=lost())) as pool:
        pool.lanes[0].pause_s = 100.0
        pool.submit(0, (10,))
        pool.submit(0, (10,))
    assert time.monotonic() - begin < 5


def test_devices_that_count_different_things_are_refused() -> None:
    with pytest.raises(DeviceError, match=r"EC7013.*a counts seconds, b counts cycles"):
        made(Scripted(TIMES, name="a"), Scripted(TIMES, name="b", metric="cycles"))


def test_other_work_is_lent_a_device_in_the_same_way() -> None:
    with made(Scripted(TIMES, before=lost(), name="bad"), Scripted(TIMES, name="good")) as pool:

        def work(device: Any) -> str:
            device.before(1)
            return str(device.name)

        assert pool.lend(work) == ("good", "good: well")
        assert pool.lanes[0].use.failures == 4
    with made(Scripted(TIMES, before=lost(), name="bad")) as pool, pytest.raises(DeviceError, match="EC7012"):
        pool.lend(work)


class Unreachable(Scripted):
    def health(self) -> str:
        raise DeviceError(Problem("EC7001", "the device cannot be reached", self.name))


def test_a_device_that_is_not_there_is_left_out_from_the_beginning() -> None:
    with made(Unreachable(TIMES, name="away"), Scripted(TIMES)) as pool:
        pool.submit(0, (10,))
        assert pool.result().device == "scripted: well"
        assert pool.lanes[0].out
    with pytest.raises(DeviceError, match="EC7001"):
        made(Unreachable(TIMES)).__enter__()


def test_a_busy_session_gives_way_to_one_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPILE_CACHE", str(tmp_path))
    ending, began, order = threading.Event(), threading.Event(), list[str]()

    def lane(name: str) -> Lane:
        def before(run: int) -> None:
            began.set()
            order.append(name)
            time.sleep(0.02)

        device = Scripted(TIMES, before=before, name="board", level="executed-on-device")
        return Lane(Bench(HOST, device, "seconds"), pause_s=0.001)

    busy, waiting = lane("busy"), lane("waiting")
    work = threading.Thread(target=lambda: [busy.measure(0, [trials(3)], ending) for _ in range(60)])
    work.start()
    began.wait()
    waiting.measure(0, [trials(3)], ending)
    work.join()
    assert order[-1] == "busy"
    assert "waiting" in order


def test_sessions_take_turns_on_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECOMPILE_CACHE", str(tmp_path))
    device = Scripted(TIMES, name="ssh://me@board", level="executed-on-device")
    lane = Lane(Bench(HOST, device, "seconds"), pause_s=0.001)
    ending = threading.Event()
    with FileLock(tmp_path / "leases" / "ssh___me_board.lock"):
        worker = threading.Thread(target=lane.measure, args=(0, [trials(3)], ending))
        worker.start()
        worker.join(0.3)
        assert not device.requests
    worker.join()
    assert device.requests
    # Who is asked to end does not wait for the other session.
    ending.set()
    with (
        FileLock(tmp_path / "leases" / "ssh___me_board.lock"),
        pytest.raises(DeviceError, match=r"EC7014\] another session measures on the device"),
    ):
        lane.measure(0, [trials(3)], ending)
