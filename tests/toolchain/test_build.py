"""Linking the runner: what goes into it, and what does not fit."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.errors import BudgetError, UsageError
from edgecompile.toolchain.build import build_runner
from edgecompile.toolchain.find import find_toolchain
from tests.fakes.build import fake_runner, target_or_skip
from tests.fakes.network import make_artifact


def test_linux_executables_for_boards_are_static_and_keep_the_mark() -> None:
    data = fake_runner("cortex-a72").read_bytes()
    assert b"edgecompile_mark\0" in data
    assert b"/ld-" not in data


def test_runner_and_stand_in_network_compile_without_warnings(tmp_path: Path) -> None:
    target = target_or_skip("cortex-m55")
    compiler = find_toolchain(target, executable=True)
    runner = Path(build_runner.__code__.co_filename).parent / "runner"
    fakes = Path(__file__).parent.parent / "fakes"
    definitions = ['-DNETWORK_HEADER="fakenet.h"', "-DNETWORK_RUN=fakenet_run", "-DNETWORK_UPPER=FAKENET"]
    definitions += ["-DNETWORK_IO_BYTES=112", "-DEDGECOMPILE_TRACE", "-I", str(fakes), "-I", str(runner)]
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O2"]
    names = ("runner.c", "platform_semihosting.c", "startup_cortex_m.c")
    compiler.compile([runner / name for name in names], [*warnings, *definitions], tmp_path / "runner.o")
    serial = (runner / "platform_serial.c", Path(__file__).parent.parent / "devices" / "board" / "board.c")
    compiler.compile(serial, [*warnings, *definitions], tmp_path / "serial.o")
    host = find_toolchain(find_target("host"))
    linux = ("runner.c", "platform_posix.c")
    host.compile([runner / name for name in linux], [*warnings, *definitions], tmp_path / "host.o")


def test_a_runner_is_the_same_in_any_folder(tmp_path: Path) -> None:
    target = target_or_skip("cortex-m4")
    toolchain = find_toolchain(target, executable=True)
    images = []
    for name in ("one", "another/place"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        artifact = make_artifact(folder, target, toolchain)
        images.append(build_runner(artifact, target, toolchain, folder / "runner").read_bytes())
    assert images[0] == images[1]


def test_firmware_that_does_not_fit_the_board_is_over_budget(tmp_path: Path) -> None:
    target = target_or_skip("cortex-m4")
    assert target.emulator is not None
    tiny = dataclasses.replace(target, emulator=dataclasses.replace(target.emulator, ram_bytes=65536 + 1024))
    toolchain = find_toolchain(tiny, executable=True)
    artifact = make_artifact(tmp_path, tiny, toolchain)
    with pytest.raises(
        BudgetError, match=r"EC6010.*does not fit the emulated board.*RAM is \d\.\d kB too small"
    ):
        build_runner(artifact, tiny, toolchain, tmp_path / "runner")
    assert not (tmp_path / "runner").exists()


def test_firmware_needs_a_memory_map(tmp_path: Path) -> None:
    target = dataclasses.replace(target_or_skip("cortex-m4"), emulator=None)
    toolchain = find_toolchain(target, executable=True)
    artifact = make_artifact(tmp_path, target, toolchain)
    with pytest.raises(UsageError, match=r"EC2020.*without a memory map.*cortex-m4.*\[emulator\]"):
        build_runner(artifact, target, toolchain, tmp_path / "runner")


def test_library_of_a_foreign_architecture_has_a_symbol_index(tmp_path: Path) -> None:
    target = target_or_skip("cortex-a72")
    artifact = make_artifact(tmp_path, target, find_toolchain(target))
    index = subprocess.run(["nm", "-s", str(artifact.library)], capture_output=True, text=True, check=False)
    assert "fakenet_run in fakenet_entry.o" in index.stdout
