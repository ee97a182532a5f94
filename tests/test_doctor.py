"""What doctor finds, and what it says when something is missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

from edgecompile import doctor
from edgecompile.doctor import Check, examine
from edgecompile.errors import InternalError, Problem


def works() -> str:
    return "0.0"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not start TVM."""
    monkeypatch.setattr(doctor, "serialise_function", works)


def find(subject: str, checks: tuple[Check, ...]) -> Check:
    return next(check for check in checks if check.subject == subject)


def test_this_installation_is_complete() -> None:
    checks = examine()
    assert [check for check in checks if check.required and not check.ok] == []
    assert find("tvm with tvm-ffi", checks).found == "0.27.0.post1 works"
    assert all(check.fix for check in checks)


@pytest.mark.usefixtures("quick")
def test_a_missing_program_comes_with_its_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    check = find("qemu-aarch64", examine())
    assert (check.ok, check.required, check.found) == (False, False, "not found")
    assert check.fix == "apt install qemu-user"


def crash() -> NoReturn:
    os.abort()


def test_a_crash_of_tvm_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "serialise_function", crash)
    check = find("tvm with tvm-ffi", examine())
    assert check.required
    assert not check.ok
    assert "SIGABRT" in check.found


@pytest.mark.usefixtures("quick")
def test_a_package_outside_its_pin_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"apache-tvm-ffi": "0.1.15"}
    monkeypatch.setattr(doctor, "_version", lambda package: versions.get(package, "1.0"))
    check = find("apache-tvm-ffi", examine())
    assert not check.ok
    assert check.found == "0.1.15"
    assert check.fix == "pip install 'apache-tvm-ffi<0.1.15,>=0.1.14.post0'"


@pytest.mark.usefixtures("quick")
def test_a_cache_that_cannot_be_written_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGECOMPILE_CACHE", str(tmp_path / "file" / "cache"))
    check = find("cache folder", examine())
    assert not check.ok
    assert "EDGECOMPILE_CACHE" in check.fix


@pytest.mark.usefixtures("quick")
def test_broken_targets_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> NoReturn:
        raise InternalError(Problem("EC3020", "bad file"))

    monkeypatch.setattr(doctor, "load_targets", broken)
    assert find("targets", examine()).found == "error[EC3020] bad file."
