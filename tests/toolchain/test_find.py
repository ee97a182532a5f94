"""Which toolchain is taken, and what is said when there is none."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from edgecompile.core.target import Target, find_target
from edgecompile.errors import MissingToolError
from edgecompile.toolchain import find
from edgecompile.toolchain.find import find_toolchain


def with_candidates(name: str, *candidates: str) -> Target:
    target = find_target(name)
    return dataclasses.replace(target, toolchain=dataclasses.replace(target.toolchain, candidates=candidates))


@pytest.fixture
def no_compilers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(find, "find_zig", lambda: None)


def test_the_first_candidate_that_is_installed_is_taken() -> None:
    assert find_toolchain(with_candidates("cortex-a72", "no-such-gcc", "zig")).name == "zig"
    assert find_toolchain(with_candidates("host", "gcc", "zig")).name == "gcc"


def test_a_cross_compiler_needs_its_archiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("board-gcc", "board-ar"):
        (tmp_path / name).symlink_to("/bin/true")
    monkeypatch.setenv("PATH", str(tmp_path))
    target = with_candidates("cortex-a72", "board-gcc")
    toolchain = find_toolchain(target)
    assert toolchain.archiver == (str(tmp_path / "board-ar"),)
    assert toolchain.compiler[1:] == target.toolchain.flags
    assert "-static" in toolchain.link_flags
    (tmp_path / "board-ar").unlink()
    with pytest.raises(MissingToolError, match="not found: board-gcc"):
        find_toolchain(target)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("host", "apt install gcc libc6-dev"),
        ("cortex-a72", "pip install 'edgecompile[cross]'"),
        ("cortex-m4", "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi"),
    ],
)
@pytest.mark.usefixtures("no_compilers")
def test_nothing_installed_names_the_install_line(name: str, fix: str) -> None:
    with pytest.raises(MissingToolError) as raised:
        find_toolchain(find_target(name))
    message = str(raised.value)
    assert message.startswith(f"error[EC5010] no C compiler for {name}: not found: ")
    assert message.endswith(f"Fix: {fix}.")


@pytest.mark.usefixtures("no_compilers")
def test_a_cross_gcc_of_a_distribution_has_an_install_line() -> None:
    with pytest.raises(MissingToolError, match="apt install gcc-aarch64-linux-gnu"):
        find_toolchain(with_candidates("cortex-a72", "aarch64-linux-gnu-gcc"))


def test_zig_makes_firmware_libraries_but_no_executables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    target = find_target("cortex-m4")
    toolchain = find_toolchain(target)
    assert toolchain.name == "zig"
    (tmp_path / "part.c").write_text(
        "#include <stdint.h>\n#include <string.h>\n"
        "int32_t copy(void* to, const void* from) { memcpy(to, from, 64); return 0; }\n"
    )
    code = toolchain.compile([tmp_path / "part.c"], ("-Os", "-ffreestanding"), tmp_path / "part.o")
    assert toolchain.archive([code], tmp_path / "libpart.a").read_bytes().startswith(b"!<arch>\n")
    with pytest.raises(MissingToolError) as raised:
        find_toolchain(target, executable=True)
    message = str(raised.value)
    assert message.startswith(
        "error[EC5010] no C compiler and linker for cortex-m4: not found: arm-none-eabi-gcc"
    )
