"""What can go wrong, as data: every failure names the place, the reason and the fix.

An `EdgeCompileError` carries one or more `Problem`s, so that all of them are reported at once, and the
exit code of the command line. Raise the subclass that says whose turn it is to act.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Problem:
    """One failure: what happened, where (node, file, option), why, and how to fix it.

    `code` is stable and searchable: "EC" and four digits, the first being the exit code.
    """

    code: str
    what: str
    where: str = ""
    why: str = ""
    fix: str = ""

    def __str__(self) -> str:
        place = f" at '{self.where}'" if self.where else ""
        reason = f": {self.why.rstrip('.')}" if self.why else ""
        stop = "" if self.fix.endswith("?") else "."
        remedy = f" Fix: {self.fix.rstrip('.')}{stop}" if self.fix else ""
        return f"error[{self.code}] {self.what.rstrip('.')}{place}{reason}.{remedy}"


class EdgeCompileError(Exception):
    """Base of all errors edgecompile raises on purpose. `exit_code` is the process exit status."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *problems: Problem) -> None:
        if not problems:
            raise ValueError("an EdgeCompileError needs at least one Problem")
        self.problems: tuple[Problem, ...] = problems
        super().__init__(*problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class InternalError(EdgeCompileError):
    """A bug in edgecompile or a crash in native code that it drives."""

    exit_code = 1


class UsageError(EdgeCompileError):
    """The command line or the call is wrong: unknown target, bad option value."""

    exit_code = 2


class InputError(EdgeCompileError):
    """The given file is not a valid model, array file or artifact, or cannot be read or written."""

    exit_code = 3


class UnsupportedError(EdgeCompileError):
    """A valid network asks for something that the target or edgecompile cannot compile."""

    exit_code = 4


class MissingToolError(EdgeCompileError):
    """An external program or optional package is not installed; `fix` holds the install line."""

    exit_code = 5


class BudgetError(EdgeCompileError):
    """The network does not fit the flash or RAM of the target."""

    exit_code = 6


class DeviceError(EdgeCompileError):
    """The device was lost, timed out, or the program on it crashed; it had `printed` something until then."""

    exit_code = 7

    def __init__(self, *problems: Problem, printed: str = "") -> None:
        super().__init__(*problems)
        self.printed = printed


class StoppedError(EdgeCompileError):
    """Stopped on purpose with everything saved."""

    exit_code = 8


class VerificationError(EdgeCompileError):
    """The binary ran and computed something else than the reference."""

    exit_code = 9


def reason(error: BaseException) -> str:
    """Why `error` happened, for a Problem that names the place: a system error without number and path."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__


_NO_BUGS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def of_file_system(error: Exception) -> InputError | None:
    """The error for the user when a disk is full or a file may not be used; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in _NO_BUGS:
        return None
    fix = (
        "make room, or permit it; TMPDIR and EDGECOMPILE_CACHE name the folders for temporary and kept files"
    )
    where = str(error.filename or "")
    return InputError(Problem("EC3034", "a file cannot be read or written", where, reason(error), fix))


def did_you_mean(word: str, known: Sequence[str], otherwise: str = "") -> str:
    """A hint such as "did you mean 'cortex-m4'?"; when nothing is close, `otherwise` or the whole list."""
    import difflib

    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"did you mean '{close[0]}'?" if close else otherwise or "known: " + ", ".join(known)
