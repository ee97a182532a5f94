"""Compilers of others, each in a process of its own: what they print, and how they fail."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from edgecompile.errors import EdgeCompileError, InternalError, Problem
from edgecompile.lower.identifier import c_identifier


def print_into(log: BinaryIO) -> None:
    """From now on all that this process prints goes into the file `log`, native code's words too."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(log.fileno(), stream.fileno())


def keep_network(data: bytes, name: str, suffix: str) -> Path:
    """A file with `data`, what a compiler was given for the network or layer `name`, that stays."""
    word = f"{c_identifier(name)}-{hashlib.sha256(data).hexdigest()[:12]}"
    kept = Path(tempfile.gettempdir()) / f"edgecompile-{word}{suffix}"
    kept.write_bytes(data)
    return kept


def crashed(code: str, compiler: str, name: str, why: str, kept: Path) -> InternalError:
    """The error of a `compiler` that ended its process, or did what nobody expected."""
    return InternalError(Problem(code, f"{compiler} crashed", name, why, f"report it together with {kept}"))


def reasons(error: EdgeCompileError) -> str:
    """Why, in one line."""
    return "; ".join(problem.why or problem.what for problem in error.problems)
