"""Run a function in a child process, with limits on its memory and time.

Native code that may crash or hang on hostile input (protobuf, onnx shape inference, TVM, LLVM) runs here: a
crash in the child becomes a clean error in the parent. The child is this module run as a program; request
and reply are pickles over private pipes between the two processes.
"""

from __future__ import annotations

import importlib
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from edgecompile.errors import EdgeCompileError, InternalError, Problem, of_file_system

Result = TypeVar("Result")


def run_isolated(
    function: Callable[..., Result],
    *arguments: Any,
    task: str,
    memory_bytes: int | None = None,
    timeout_s: float | None = None,
    failure: type[EdgeCompileError] = InternalError,
    without: tuple[str, ...] = (),
) -> Result:
    """Call the module-level `function(*arguments)` in a child and return its result.

    `task` names the work in messages ("importing net.onnx"). The child finds no packages named in `without`:
    TVM loads PyTorch where that is installed, which takes longer than compiling a small network. Errors that
    edgecompile raises on purpose pass through; a crash, an exhausted limit or any other exception raises
    `failure` with the child's last words.
    """
    call = (function.__module__, function.__qualname__, arguments)
    request = pickle.dumps((sys.path, without, memory_bytes, *call))
    with tempfile.TemporaryFile() as reply, tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", __name__, str(reply.fileno())]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=(reply.fileno(),)
        )
        try:
            child.communicate(request, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            why, fix = f"it took longer than {timeout_s:.0f} s", "simplify the network"
            raise failure(Problem(f"EC{failure.exit_code}002", f"{task} was stopped", "", why, fix)) from None
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        reply.seek(0)
        result: Result = _interpret(reply, log, child.returncode, task, failure)
        return result


def _interpret(reply: BinaryIO, log: BinaryIO, code: int, task: str, failure: type[EdgeCompileError]) -> Any:
    data = reply.read()
    if code == 0 and data:
        ok, value = pickle.loads(data)
        if ok:
            return value
        if isinstance(value, EdgeCompileError):
            raise value
        raise failure(Problem(f"EC{failure.exit_code}001", f"{task} failed", "", str(value), ""))
    reason = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
    log.seek(0)
    tail = log.read().decode(errors="replace").strip().splitlines()[-1:]
    why = "; ".join([f"the worker process ended with {reason}", *tail])
    raise failure(Problem(f"EC{failure.exit_code}003", f"{task} crashed", "", why))


def _serve(reply_fd: int) -> None:
    """The child's side: one request from stdin, one reply to `reply_fd`."""
    path, without, memory_bytes, *call = pickle.load(sys.stdin.buffer)
    sys.path[:] = path
    sys.modules.update(dict.fromkeys(without))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        result = (True, _call(*call))
    except EdgeCompileError as error:
        result = (False, error)
    except MemoryError:
        result = (False, "it needs more memory than the limit allows")
    except Exception as error:
        result = (False, of_file_system(error) or _summary(error))
    with os.fdopen(reply_fd, "wb") as reply:
        pickle.dump(result, reply)


def _summary(error: Exception) -> str:
    """An unexpected exception in one line; all of it goes to the log."""
    import traceback

    traceback.print_exception(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    first = str(error).strip().splitlines()[:1] or [""]
    return f"{type(error).__name__}: {first[0]} ({os.path.basename(place.filename)}:{place.lineno})"


def _call(module: str, name: str, arguments: tuple[Any, ...]) -> Any:
    return getattr(importlib.import_module(module), name)(*arguments)


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
