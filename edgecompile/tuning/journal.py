"""A file of records that only grows: what was acknowledged survives a kill and a full disk.

Every writer has a file of its own, so writers never mix. A batch of records is one write followed by one
fsync; only then is it acknowledged. A kill in between leaves at most one line that has no end, which
readers skip and the next writer of the file cuts off.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompile.errors import InputError, Problem, StoppedError, reason
from edgecompile.tuning.record import Contents, Damage, Record, decode, encode


def read_journal(path: Path) -> Contents:
    """All records of a file, and its lines that cannot be read. Raises InputError (EC3501)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(Problem("EC3501", "cannot read the records", str(path), reason(error))) from None
    records: list[Record] = []
    damages: list[Damage] = []
    whole = data.rfind(b"\n") + 1
    for number, line in enumerate(data[:whole].split(b"\n")[:-1], 1):
        try:
            records.append(decode(line))
        except ValueError as error:
            damages.append(Damage(str(path), number, str(error)))
    if whole < len(data):
        number = data.count(b"\n") + 1
        damages.append(Damage(str(path), number, "its end is missing: writing it was interrupted"))
    return Contents(tuple(records), tuple(damages), whole)


class Journal:
    """The writer of one file, which nobody else can open for writing meanwhile.

    `damages` are the lines that could not be read when it was opened; one without its end is cut off.
    """

    def __init__(self, path: Path) -> None:
        """Open or create. Raises InputError: EC3502 for a file that another writer has open, EC3503."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            problem = Problem("EC3503", "cannot write the records", str(path), reason(error))
            raise InputError(problem) from None
        self.path = path
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            what, fix = "another session writes these records", "wait for it, or choose other --records"
            raise InputError(Problem("EC3502", what, str(path), "", fix)) from None
        contents = read_journal(path)
        self._length, self.damages = contents.whole, contents.damages
        os.ftruncate(self._file, self._length)
        _sync_folder(path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file free."""
        os.close(self._file)

    def append(self, records: Sequence[Record]) -> None:
        """Write `records`; they are on the disk when this returns.

        Raises StoppedError (EC8001) when the disk is full or fails; the file is as it was before then.
        """
        data = b"".join(map(encode, records))
        try:
            done = 0
            while done < len(data):
                done += os.write(self._file, data[done:])
            os.fsync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._length)
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "the disk is full" if full else "the records cannot be written"
            fix = "make room, then continue with --resume; everything before is saved"
            raise StoppedError(Problem("EC8001", what, str(self.path), reason(error), fix)) from None
        self._length += len(data)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file as durable as its contents."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
