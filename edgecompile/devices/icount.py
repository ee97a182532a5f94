"""Instruction counts under qemu: builds the plug-in that counts them, and reads what it wrote."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgecompile.core.process import find_program, find_zig, run_program, zig_environment
from edgecompile.core.store import cache_dir, sha256_hex
from edgecompile.errors import DeviceError, InternalError, Problem

# The function of the runner whose calls enclose a segment, and the file the plug-in writes.
MARK = "edgecompile_mark"
COUNTS = "icount.json"

_SOURCE = Path(__file__).parent / "plugin" / "icount.c"


@dataclass(frozen=True)
class Counts:
    """Instructions of one inference, of each run, and of each kernel call of the traced run."""

    inference: int
    runs: tuple[int, ...]
    steps: tuple[int, ...]


def plugin_arguments(emulator: str) -> list[str]:
    """Arguments that make the qemu program `emulator` count into COUNTS in its working folder.

    Raises MissingToolError (EC5001) when nothing here can compile C.
    """
    library = build_plugin(plugin_version(emulator))
    return ["-plugin", f"{str(library).replace(',', ',,')},mark={MARK},out={COUNTS}"]


@cache
def plugin_version(emulator: str) -> int:
    """The plug-in interface to ask for: 1 before qemu 9, and 2 from then on."""
    text = run_program([emulator, "--version"]).stdout
    found = re.search(r"version (\d+)", text)
    return 2 if found and int(found.group(1)) >= 9 else 1


def build_plugin(version: int) -> Path:
    """The compiled plug-in, built once for each version of its source and kept in the cache."""
    key = sha256_hex(_SOURCE.read_bytes() + bytes([version]))[:16]
    library = cache_dir() / f"icount-{key}.so"
    if library.is_file():
        return library
    with tempfile.TemporaryDirectory(prefix="icount-", dir=cache_dir()) as folder:
        built = Path(folder) / "icount.so"
        flags = ["-std=c11", "-O2", "-shared", "-fPIC", f"-DQEMU_PLUGIN_VERSION={version}"]
        finished = run_program(
            [*_native_compiler(), *flags, str(_SOURCE), "-o", str(built)], environment=zig_environment()
        )
        if finished.status != 0:
            why = finished.last_words
            raise InternalError(Problem("EC1021", "cannot build the instruction counter", "", why))
        built.replace(library)
    return library


def _native_compiler() -> list[str]:
    for name in ("gcc", "clang", "cc"):
        path = shutil.which(name)
        if path is not None:
            return [path]
    zig = find_zig()
    return [zig, "cc"] if zig else [find_program("gcc", "apt install gcc libc6-dev")]


def read_counts(folder: Path, runs: int, *, traced: bool) -> Counts:
    """What the plug-in wrote for `runs` runs, the last of which was traced when `traced`.

    The inference is the mean of the runs that were not traced, because data may steer branches; of a single
    traced run it is the sum of its parts. Raises DeviceError (EC7006) when the marks do not fit the runs.
    """
    try:
        segments: list[int] = json.loads((folder / COUNTS).read_text())["segments"]
    except (OSError, ValueError) as error:
        why, fix = str(error), "check that this qemu can load plug-ins"
        raise DeviceError(Problem("EC7006", "instructions were not counted", "qemu", why, fix)) from error
    plain = segments[: runs - 1] if traced else segments
    parts = segments[runs - 1 :] if traced else []
    if len(plain) != runs - traced or (traced and not parts):
        why = f"{len(segments)} segments for {runs} runs"
        raise DeviceError(Problem("EC7006", "instructions were not counted", "qemu", why))
    inference = round(sum(plain) / len(plain)) if plain else sum(parts)
    return Counts(inference, tuple(plain), tuple(parts[:-1]))
