"""A copy of this process that does work for it, each piece in a copy of its own.

What is expensive to set up (networks, compilers that are loaded) is there without being sent, and a crash of
native code is an answer, not the end. The copy is made when there is little in this process that a copy
must not have; it makes the further copies, and has no threads.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

from edgecompile.errors import EdgeCompileError

Result = TypeVar("Result")

_OK, _REFUSED, _RAISED, _CRASHED, _TIMED_OUT = "ok", "refused", "raised", "crashed", "timed out"
_MOST_FILES = 65536


class WorkFailedError(Exception):
    """A call raised an exception, crashed or took too long; the message says which."""


class Forked(Generic[Result]):
    """Calls `function` in copies of the process as it is now. To be entered and left.

    Arguments and results are pickled; whatever else the function refers to, it finds as it was. One call at
    a time: several threads need one of these each.
    """

    def __init__(self, function: Callable[..., Result]) -> None:
        self._link, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads. Those here, of numeric libraries, hold no lock while they idle.
            warnings.simplefilter("ignore", DeprecationWarning)
            self._process = os.fork()
        if self._process == 0:
            _serve(function, theirs)
        # A group of its own: Ctrl-C in the terminal is for the parent, and everything can be ended at once.
        os.setpgid(self._process, 0)
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the copy, also in the middle of its work."""
        os.killpg(self._process, signal.SIGKILL)
        os.waitpid(self._process, 0)
        self._link.close()

    def call(self, *arguments: Any, timeout_s: float) -> Result:
        """`function(*arguments)`. Raises WorkFailedError; errors of edgecompile pass through."""
        try:
            self._link.send((arguments, timeout_s))
            outcome, value = self._link.recv()
        except (EOFError, OSError):
            raise WorkFailedError("the process for it has ended") from None
        if outcome == _REFUSED:
            raise value
        if outcome != _OK:
            raise WorkFailedError(f"it {outcome}: {value}")
        result: Result = value
        return result


def _serve(function: Callable[..., Any], link: Connection) -> NoReturn:
    """What the copy does until nobody can ask it any more."""
    try:
        # Of what is open here nothing may live longer than the parent, locks above all.
        os.closerange(3, link.fileno())
        os.closerange(link.fileno() + 1, _MOST_FILES)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        # A collection in a further copy would write to all that is there, and so copy every page of it.
        gc.freeze()
        while True:
            arguments, timeout_s = link.recv()
            link.send(_call(function, arguments, timeout_s))
    finally:
        os._exit(0)


def _call(function: Callable[..., Any], arguments: Any, timeout_s: float) -> tuple[str, Any]:
    """The outcome of a call in a further copy, and its result or why there is none."""
    receiver, sender = Pipe(duplex=False)
    process = os.fork()
    if process == 0:
        try:
            sender.send((_OK, function(*arguments)))
        except EdgeCompileError as error:
            sender.send((_REFUSED, error))
        except Exception as error:
            sender.send((_RAISED, f"{type(error).__name__}: {error}"))
        finally:
            os._exit(0)
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            return _TIMED_OUT, f"{timeout_s:g} s"
        answer: tuple[str, Any] = receiver.recv()
        return answer
    except EOFError:
        return _CRASHED, "a signal ended it"
    finally:
        receiver.close()
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
