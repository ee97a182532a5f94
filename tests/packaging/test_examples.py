"""The examples, step by step as their pages tell it, with packages made in the same run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgecompile.cli.main import main
from tests.fakes.build import target_or_skip
from tests.packaging.build import cmake, run, write
from tests.packaging.conftest import EXAMPLES, Compile

pytestmark = pytest.mark.usefixtures("tools")

HEARD = ["up", "twice", "noise", "down", "up"]


def test_firmware_in_five_commands(recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands are those of docs/packaging.md, word by word."""
    target_or_skip("cortex-m4")
    page = (EXAMPLES.parent / "docs" / "packaging.md").read_text()
    commands = page.split("## From a network to running firmware")[1].split("```")[1].splitlines()[1:]
    joined = "\n".join(commands).replace("\\\n", " ").strip().splitlines()
    assert len(joined) == 5
    for name in ("keywords.onnx", "samples.npz", "recording.h"):
        shutil.copy(recording / name, tmp_path)
    (tmp_path / "examples").symlink_to(EXAMPLES)
    (tmp_path / "edgecompile").write_text(f'#!/bin/sh\nexec {sys.executable} -m edgecompile "$@"\n')
    (tmp_path / "edgecompile").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES.parent))
    for command in joined:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    # qemu writes what the firmware says to its own stderr.
    assert (done.stdout + done.stderr).split() == [w for word in HEARD for w in ("heard:", word)] + ["done"]


def test_linux_on_64_bit_arm(keywords: Compile, recording: Path, tmp_path: Path) -> None:
    package = write(keywords("cortex-a72", "lib"), "cmake", tmp_path / "package")
    toolchain = f"-DCMAKE_TOOLCHAIN_FILE={EXAMPLES / 'linux-aarch64' / 'zig-aarch64.cmake'}"
    programs = cmake(EXAMPLES / "linux-aarch64", tmp_path / "build", package, toolchain)
    heard = run("qemu-aarch64", programs / "listen", recording / "recording.f32")
    assert [line.split()[1] for line in heard.splitlines()] == HEARD
    assert run("qemu-aarch64", programs / "selftest") == "keywords: 3 of 3 samples right\n"


def test_a_wheel_that_is_installed_and_called(keywords: Compile, recording: Path, tmp_path: Path) -> None:
    wheel = write(keywords("host", "lib"), "python", tmp_path)
    assert wheel.name == "keywords-1.0.0-py3-none-linux_x86_64.whl"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target"]
    run(*pip, tmp_path / "site", wheel)
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    script = EXAMPLES / "python-wheel" / "listen.py"
    command = [sys.executable, str(script), str(recording / "recording.f32")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line.split()[1] for line in done.stdout.splitlines()] == HEARD
    script_text = (
        "import keywords, numpy\n"
        "for wrong in (numpy.zeros((1, 1, 24, 9), 'f4'), numpy.zeros((1, 1, 24, 10), 'f8')):\n"
        "    try: keywords.run(wrong)\n"
        "    except ValueError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script_text],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("spectrum is float32 (1, 1, 24, 10), not") == 2


def test_a_wheel_for_another_machine(keywords: Compile, tmp_path: Path) -> None:
    wheel = write(keywords("cortex-a72", "lib"), "python", tmp_path)
    assert wheel.name == "keywords-1.0.0-py3-none-manylinux2014_aarch64.whl"
    with zipfile.ZipFile(wheel) as archive:
        library = archive.read("keywords/libkeywords.so")
    assert library[:4] == b"\x7fELF"
    assert library[18] == 183  # AArch64
    assert (
        write(keywords("cortex-a72", "lib"), "python", tmp_path / "again").read_bytes() == wheel.read_bytes()
    )


def test_verify_takes_a_bundle(keywords: Compile, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write(keywords("host", "lib"), "bundle", tmp_path)
    assert main(["verify", str(bundle)]) == 0
    assert "verified on local (executed-on-device): 3 samples" in capsys.readouterr().out
    damaged = bytearray(bundle.read_bytes())
    damaged[-1] ^= 1
    bundle.write_bytes(damaged)
    assert main(["verify", str(bundle)]) == 3
    assert "EC3565" in capsys.readouterr().err
