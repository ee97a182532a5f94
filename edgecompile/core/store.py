"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecompile.errors import InputError, Problem


def cache_dir() -> Path:
    """Where derived files are kept between runs: $EDGECOMPILE_CACHE, else the user's cache folder."""
    configured = os.environ.get("EDGECOMPILE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(configured) if configured else Path(base) / "edgecompile"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def staged_directory(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside `destination` that replaces it when the block ends without an error.

    An existing destination stays untouched until then, and afterwards is gone as a whole. Raises InputError
    (EC3030) when the place cannot be written, before any work is done.
    """
    destination = destination.absolute()
    # The name is known before the folder is there: an interrupt at any moment leaves nothing behind.
    staging = destination.with_name(f".{destination.name}.{secrets.token_hex(4)}")
    try:
        _make(staging, destination)
        yield staging
        _replace(staging, destination)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _make(staging: Path, destination: Path) -> None:
    try:
        staging.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        staging.chmod(0o755)
    except OSError as error:
        fix = "choose another folder with -o"
        problem = Problem("EC3030", "cannot write the output folder", str(destination), str(error), fix)
        raise InputError(problem) from error


def _replace(staging: Path, destination: Path) -> None:
    """Swap `staging` into place; a folder that edgecompile did not write is refused, not deleted."""
    if not destination.exists():
        staging.rename(destination)
        return
    if not (destination / "manifest.json").is_file() and any(destination.iterdir()):
        fix = "choose another folder with -o, or remove this one"
        raise InputError(Problem("EC3031", "the output folder is not an artifact", str(destination), "", fix))
    retired = staging.with_name(staging.name + ".old")
    destination.rename(retired)
    staging.rename(destination)
    shutil.rmtree(retired, ignore_errors=True)


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
