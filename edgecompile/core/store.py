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

from edgecompile.errors import InputError, Problem, reason


def cache_dir() -> Path:
    """Where derived files are kept between runs: $EDGECOMPILE_CACHE, else the user's cache folder.

    Raises InputError (EC3030).
    """
    configured = os.environ.get("EDGECOMPILE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(configured) if configured else Path(base) / "edgecompile"
    make_folder(folder, "set EDGECOMPILE_CACHE to a folder you can write")
    return folder


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@contextmanager
def staged_directory(destination: Path) -> Iterator[Path]:
    """Yield an empty folder beside `destination` that replaces it when the block ends without an error.

    An existing destination stays untouched until then, and afterwards is gone as a whole. Raises InputError,
    before any work is done: EC3030 when the place cannot be written, EC3031 when something is there that
    edgecompile did not write.
    """
    destination = destination.absolute()
    _check_replaceable(destination)
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
        raise _unwritable_folder(destination, error, "choose another folder with -o") from error


def make_folder(path: Path, fix: str = "choose another folder") -> None:
    """Create `path` unless it is there. Raises InputError (EC3030)."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable_folder(path, error, fix) from error


def _unwritable_folder(path: Path, error: OSError, fix: str) -> InputError:
    return InputError(Problem("EC3030", "cannot write the folder", str(path), reason(error), fix))


def _check_replaceable(destination: Path) -> None:
    """A file, or a folder that edgecompile did not write, is refused, not deleted."""
    if not destination.exists():
        return
    is_folder = destination.is_dir()
    if is_folder and ((destination / "manifest.json").is_file() or not any(destination.iterdir())):
        return
    what = "the output folder is not an artifact" if is_folder else "the output folder is a file"
    fix = "choose another folder with -o, or remove this one"
    raise InputError(Problem("EC3031", what, str(destination), "", fix))


def _replace(staging: Path, destination: Path) -> None:
    """Swap `staging` into place."""
    if not destination.exists():
        staging.rename(destination)
        return
    _check_replaceable(destination)
    retired = staging.with_name(staging.name + ".old")
    destination.rename(retired)
    staging.rename(destination)
    shutil.rmtree(retired, ignore_errors=True)


def check_writable(*files: Path | None) -> None:
    """Raise InputError (EC3032) naming those of `files` that cannot be written, before the work for them."""
    problems = [
        _unwritable_file(file, why) for file in files if file is not None and (why := _obstacle(file))
    ]
    if problems:
        raise InputError(*problems)


def _obstacle(file: Path) -> str:
    """Why a file cannot be written; "" if it can, or is no regular file, such as /dev/stdout."""
    if file.is_dir():
        return "it is a folder"
    try:
        if not file.exists() or file.is_file():
            with tempfile.TemporaryFile(dir=file.parent):
                pass
    except OSError as error:
        return reason(error)
    return ""


def _unwritable_file(file: Path, why: str) -> Problem:
    return Problem("EC3032", "cannot write the result", str(file), why, "choose another file")


def write_file(path: Path, data: bytes) -> None:
    """Write a user's file, as a whole or not at all. Raises InputError (EC3032)."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
        else:
            write_atomically(path.resolve(), data)
    except OSError as error:
        raise InputError(_unwritable_file(path, reason(error))) from error


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file so that readers see the old or the new content, never a part."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(handle, 0o644)
            stream.write(data)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
