"""Work in copies of the process: results, and every way in which it can fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from edgecompile.core.fork import Forked, WorkFailedError
from edgecompile.errors import InputError, Problem

# Leaves the copy behind when it is killed; says whether a lock that it held is still held.
_KILLED = """
import fcntl, os, sys, time
from edgecompile.core.fork import Forked
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(lock, fcntl.LOCK_EX)
worker = Forked(time.sleep)
print(os.getpid(), flush=True)
worker.call(60, timeout_s=60)
"""


def work(what: str) -> str:
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "hang":
        time.sleep(60)
    if what == "raise":
        raise ValueError("no")
    if what == "refuse":
        raise InputError(Problem("EC3999", "a problem"))
    return what.upper()


def test_a_call_that_fails_ends_nothing_else() -> None:
    with Forked(work) as worker:
        for what, message in (
            ("crash", "it crashed"),
            ("raise", "ValueError: no"),
            ("hang", r"timed out: 0\.2 s"),
        ):
            with pytest.raises(WorkFailedError, match=message):
                worker.call(what, timeout_s=0.2 if what == "hang" else 20.0)
            assert worker.call("well", timeout_s=20.0) == "WELL"


def test_errors_of_edgecompile_pass_through() -> None:
    with Forked(work) as worker, pytest.raises(InputError, match="EC3999"):
        worker.call("refuse", timeout_s=20.0)


def test_it_finds_everything_as_it_was() -> None:
    known = ["before"]
    with Forked(lambda: list(known)) as worker:
        known.append("after")
        assert worker.call(timeout_s=20.0) == ["before"]


def test_leaving_ends_it_at_once() -> None:
    worker = Forked(work)
    worker.__exit__(None, None, None)
    with pytest.raises(WorkFailedError, match="has ended"):
        worker.call("well", timeout_s=20.0)


def test_locks_do_not_outlive_the_process(tmp_path: object) -> None:
    lock = f"{tmp_path}/lock"
    with subprocess.Popen([sys.executable, "-c", _KILLED, lock], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.2)
        process.kill()
    assert subprocess.run(["flock", "--nonblock", lock, "true"], check=False).returncode == 0
