"""Work in a child process: what comes back, and what the child finds."""

from __future__ import annotations

import importlib
import os
import signal
import time

import pytest

from edgecompile.core.isolate import run_isolated
from edgecompile.errors import InputError, InternalError


def can_import(package: str) -> bool:
    try:
        importlib.import_module(package)
    except ImportError:
        return False
    return True


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)


def divide(number: int) -> float:
    return 1 / number


def fill_the_disk() -> None:
    with open("/dev/full", "w") as file:
        file.write("x")


def test_the_result_comes_back() -> None:
    assert run_isolated(divide, 4, task="dividing") == 0.25


def test_the_child_finds_no_package_that_it_shall_be_without() -> None:
    assert run_isolated(can_import, "sqlite3", task="looking")
    assert not run_isolated(can_import, "sqlite3", task="looking", without=("sqlite3",))


def test_an_exception_is_named_with_its_place() -> None:
    with pytest.raises(InternalError, match=r"EC1001.*dividing failed.*ZeroDivisionError.*isolate.py:\d+"):
        run_isolated(divide, 0, task="dividing")


def test_a_full_disk_is_no_bug() -> None:
    with pytest.raises(InputError, match=r"EC3034.*No space left on device. Fix: make room"):
        run_isolated(fill_the_disk, task="writing")


def test_a_crash_is_an_error_of_the_kind_that_was_asked_for() -> None:
    with pytest.raises(InputError, match=r"EC3003.*reading crashed.*signal SIGSEGV"):
        run_isolated(end_by, signal.SIGSEGV, task="reading", failure=InputError)


def test_what_takes_too_long_is_stopped() -> None:
    with pytest.raises(InternalError, match=r"EC1002.*waiting was stopped.*longer than 1 s"):
        run_isolated(time.sleep, 600, task="waiting", timeout_s=1.0)
