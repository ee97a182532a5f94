"""The scripts behind `make setup`, on machines that lack what they need."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parent.parent / ".ci"
EMULATORS = ("qemu-aarch64", "qemu-system-arm", "arm-none-eabi-gcc", "gcc")


def make_programs(folder: Path, **scripts: str) -> str:
    """A PATH with nothing but these programs and bash."""
    folder.mkdir()
    (folder / "bash").symlink_to("/bin/bash")
    for name, text in scripts.items():
        program = folder / name
        program.write_text(f"#!/bin/bash\n{text}\n")
        program.chmod(0o755)
    return str(folder)


def run(tool: str, path: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", str(TOOLS / tool), *arguments]
    return subprocess.run(command, env={"PATH": path} | environment, capture_output=True, text=True)


def test_without_a_suitable_python_it_says_what_to_install(tmp_path: Path) -> None:
    path = make_programs(tmp_path / "bin", python3="exit 1")
    result = run("make-venv", path, str(tmp_path / "venv"))
    assert result.returncode == 5
    assert "no Python 3.11, 3.12 or 3.13 found. Fix: apt install python3.11" in result.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_says_what_to_install(tmp_path: Path) -> None:
    python = 'case "$2" in *ensurepip*) exit 1;; *print*) echo 3.12;; esac'
    path = make_programs(tmp_path / "bin", python3=python, id="echo 1000")
    result = run("make-venv", path, str(tmp_path / "venv"))
    assert result.returncode == 5
    assert "Fix: apt install python3.12-venv" in result.stderr


def test_an_existing_environment_is_kept(tmp_path: Path) -> None:
    path = make_programs(tmp_path / "bin", python3="exit 0")
    make_programs(tmp_path / "venv")
    make_programs(tmp_path / "venv" / "bin", python="exit 0")
    result = run("make-venv", path, str(tmp_path / "venv"))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_missing_emulators_are_only_named_when_they_cannot_be_installed(tmp_path: Path) -> None:
    path = make_programs(tmp_path / "bin", id="echo 1000")
    result = run("install-emulators", path)
    assert result.returncode == 0
    packages = "qemu-user qemu-system-arm gcc-arm-none-eabi libnewlib-arm-none-eabi gcc libc6-dev"
    assert f"Fix: sudo apt install {packages}\n" in result.stderr


@pytest.mark.parametrize("ci", ["", "true"])
def test_root_installs_what_is_missing(ci: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    scripts = {"id": "echo 0", "apt-get": f'echo "$*" >> {log}'}
    scripts |= dict.fromkeys(EMULATORS[1:], "exit 0")
    path = make_programs(tmp_path / "bin", **scripts)
    result = run("install-emulators", path, CI=ci)
    assert result.returncode == 0
    wanted = "qemu-user openssh-server valgrind" if ci else "qemu-user"
    assert log.read_text().splitlines() == [
        "update -qq",
        f"install -y -qq --no-install-recommends {wanted}",
    ]


def test_nothing_happens_when_everything_is_there(tmp_path: Path) -> None:
    path = make_programs(tmp_path / "bin", **dict.fromkeys(EMULATORS, "exit 0"))
    result = run("install-emulators", path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
