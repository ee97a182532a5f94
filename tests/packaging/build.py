"""Running build tools on packages."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import find_format, package
from edgecompile.packaging.options import PackageOptions


def run(*command: object, cwd: Path | None = None) -> str:
    """What a program printed; it fails the test with that when its exit status is not 0."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tool_or_skip(name: str, install: str) -> str:
    """The path of a program; skips the test where it is not installed."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} not found ({install})")
    return path


def write(artifact: Artifact, form: str, folder: Path, options: PackageOptions | None = None) -> Path:
    """The package in `folder`, or the only file that was written there."""
    written = package(artifact, find_format(form), options or PackageOptions(), folder)
    return written[0]


def cmake(source: Path, build: Path, prefix: Path, *options: str) -> Path:
    """Configure and build `source` with the package `prefix`; returns the folder of the programs."""
    run("cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}", *options)
    run("cmake", "--build", build)
    return build


def map_sections(text: str, library: str) -> Iterator[tuple[str, int, bool]]:
    """Every input section of `library` in GNU ld's map: its name, its size, and whether it was kept."""
    dropped, _, kept = text.partition("Memory Configuration")
    row = re.compile(rf"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+\S*{re.escape(library)}\(", re.MULTILINE)
    for part, is_kept in ((dropped, False), (kept, True)):
        for name, size in row.findall(part):
            yield name, int(size, 16), is_kept
