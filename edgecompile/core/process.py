"""External programs: finding them, and running them with a time limit."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edgecompile.core.store import cache_dir
from edgecompile.errors import MissingToolError, Problem

# Programs that are waited for.
_running: set[subprocess.Popen[bytes]] = set()


class ProgramTimeoutError(TimeoutError):
    """A program was stopped; `printed` is its standard output until then."""

    def __init__(self, message: str, printed: str) -> None:
        super().__init__(message)
        self.printed = printed


@dataclass(frozen=True)
class Finished:
    """A program that ended by itself. `status` is its exit status, or minus the signal that ended it."""

    status: int
    stdout: str
    stderr: str

    @property
    def last_words(self) -> str:
        """The last line that is not empty of stderr, else of stdout: what to show to a person."""
        lines = [line.strip() for text in (self.stdout, self.stderr) for line in text.splitlines()]
        return next((line for line in reversed(lines) if line), "")


def run_program(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run `command` without input and wait for it; `environment` is added to the caller's.

    Messages are asked for in English, so that callers can look for a reason in them. Raises
    ProgramTimeoutError when it takes longer than `timeout_s`; it and the children it started are killed then.
    OSError when it cannot be started.
    """
    # Files, not pipes: a grandchild that stays behind (ssh's connection sharing) would hold a pipe open.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        streams = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr}
        with started(command, cwd=cwd, environment=environment, **streams) as child:
            try:
                child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                message = f"{command[0]} took longer than {timeout_s:g} s"
                raise ProgramTimeoutError(message, _text(stdout)) from None
        return Finished(child.returncode, _text(stdout), _text(stderr))


@contextmanager
def started(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    **streams: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `command`; when the block ends, whatever still runs of it is killed. Raises OSError."""
    child = subprocess.Popen(
        list(command),
        cwd=cwd,
        env=os.environ | {"LC_ALL": "C"} | dict(environment or {}),
        start_new_session=True,
        **streams,
    )
    try:
        _running.add(child)
        yield child
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        _running.discard(child)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def kill_programs() -> None:
    """Kill what `started` in other threads, and the children of it."""
    for child in list(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


def _text(stream: BinaryIO) -> str:
    stream.seek(0)
    return stream.read().decode(errors="replace")


def find_program(name: str, install: str) -> str:
    """The path of program `name`; raises MissingToolError (EC5001) with the line that installs it."""
    path = shutil.which(name)
    if path is None:
        raise MissingToolError(Problem("EC5001", f"{name} not found", fix=install))
    return path


def find_zig() -> str | None:
    """The zig compiler of the Python package `ziglang`, or None when that is not installed."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).with_name("zig")
    return str(path) if path.is_file() else None


def zig_environment() -> dict[str, str]:
    """Environment that keeps zig's caches in ours: the C library of a target is built only once."""
    folder = str(cache_dir() / "zig")
    return {"ZIG_GLOBAL_CACHE_DIR": folder, "ZIG_LOCAL_CACHE_DIR": folder}
