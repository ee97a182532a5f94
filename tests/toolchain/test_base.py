"""Compilers and archivers: reproducible output, and errors that name the reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.errors import InternalError, MissingToolError
from edgecompile.toolchain.base import Toolchain
from edgecompile.toolchain.find import find_toolchain
from tests.fakes.build import target_or_skip

TARGETS = ("host", "cortex-a72", "cortex-m4")
SOURCE = '#include "part.h"\nconst char* where(void) { return __FILE__ " " HEADER; }\n'


def toolchain_for(name: str) -> Toolchain:
    return find_toolchain(target_or_skip(name))


def write_source(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "part.h").write_text("#define HEADER __FILE__\n")
    (folder / "part.c").write_text(SOURCE)
    (folder / "data.S").write_text('.section .rodata.x, "a"\n.globl x\nx:\n.incbin "part.h"\n')
    return folder / "part.c"


@pytest.mark.parametrize("name", TARGETS)
def test_objects_and_archives_do_not_depend_on_the_folder(name: str, tmp_path: Path) -> None:
    toolchain = toolchain_for(name)
    results = []
    for place in ("one", "a/much/longer/place"):
        folder = tmp_path / place
        source = write_source(folder)
        code = toolchain.compile([source], ("-O2",), folder / "part.o")
        data = toolchain.compile([folder / "data.S"], ("-I", str(folder)), folder / "data.o")
        archive = toolchain.archive([code, data], folder / "libpart.a")
        results.append((code.read_bytes(), data.read_bytes(), archive.read_bytes()))
    assert results[0] == results[1]
    assert str(tmp_path).encode() not in b"".join(results[0])


@pytest.mark.parametrize("name", TARGETS)
def test_several_sources_become_one_object(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text("int b(void);\nint a(void) { return b(); }\n")
    (tmp_path / "b.c").write_text("int b(void) { return 7; }\n")
    output = toolchain_for(name).compile([tmp_path / "a.c", tmp_path / "b.c"], ("-O2",), tmp_path / "ab.o")
    data = output.read_bytes()
    assert data.startswith(b"\x7fELF")
    assert b".text.a\0" in data
    assert b".text.b\0" in data


@pytest.mark.parametrize("name", TARGETS)
def test_version_is_one_line_without_paths(name: str) -> None:
    toolchain = toolchain_for(name)
    version = toolchain.version()
    assert version.startswith(toolchain.name)
    assert "\n" not in version
    assert "/" not in version


@pytest.mark.parametrize("name", TARGETS)
def test_archive_replaces_an_older_one(name: str, tmp_path: Path) -> None:
    toolchain = toolchain_for(name)
    source = write_source(tmp_path / "source")
    code = toolchain.compile([source], (), tmp_path / "part.o")
    archive = tmp_path / "libpart.a"
    archive.write_bytes(b"not an archive")
    assert toolchain.archive([code], archive).read_bytes().startswith(b"!<arch>\n")


@pytest.mark.parametrize("name", TARGETS)
def test_a_compiler_error_is_passed_on(name: str, tmp_path: Path) -> None:
    (tmp_path / "bad.c").write_text("int f(void) { return unknown_name; }\n")
    toolchain = toolchain_for(name)
    with pytest.raises(InternalError) as raised:
        toolchain.compile([tmp_path / "bad.c"], (), tmp_path / "bad.o")
    assert str(raised.value).startswith(f"error[EC1020] {toolchain.name} failed at 'compiling bad.c'")
    assert "unknown_name" in str(raised.value)


def test_an_undefined_symbol_is_named(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int missing(void);\nint main(void) { return missing(); }\n")
    toolchain = find_toolchain(find_target("host"))
    main = toolchain.compile([tmp_path / "main.c"], (), tmp_path / "main.o")
    with pytest.raises(InternalError, match=r"EC1020.*'linking main'.*undefined reference to .missing"):
        toolchain.link([main], (), tmp_path / "main")


def test_a_missing_library_is_a_missing_tool(tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text("int main(void) { return 0; }\n")
    toolchain = find_toolchain(find_target("host"))
    main = toolchain.compile([tmp_path / "main.c"], (), tmp_path / "main.o")
    with pytest.raises(MissingToolError) as raised:
        toolchain.link([main], ("-lno_such_library",), tmp_path / "main")
    assert "error[EC5011] gcc is installed without a part of it" in str(raised.value)
    assert "cannot find -lno_such_library" in str(raised.value)
    assert "Fix: apt install gcc libc6-dev." in str(raised.value)


def test_a_program_that_vanished_is_a_missing_tool(tmp_path: Path) -> None:
    gone = dataclasses.replace(find_toolchain(find_target("host")), compiler=("/no/such/cc",))
    with pytest.raises(MissingToolError, match=r"EC5011.*/no/such/cc cannot be started"):
        gone.compile([tmp_path / "a.c"], (), tmp_path / "a.o")
