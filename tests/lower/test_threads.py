"""Networks on several threads: on their own executor and on those of a caller."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecompile.core.model import Model
from edgecompile.lower.build import BuiltNetwork, call_step
from edgecompile.lower.entry import generate_entry
from edgecompile.lower.program import Step
from edgecompile.lower.storage import assign_storage
from edgecompile.lower.tir import Interface
from tests.support.execute import call, link
from tests.support.networks import small_cnn, stateful_lstm, wide_chain
from tests.support.threads import build_shared, program_files

Network = Callable[[], onnx.ModelProto]
NETWORKS: tuple[Network, ...] = (small_cnn, stateful_lstm, wide_chain)
TASK = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)
RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p, TASK, ctypes.c_void_p, ctypes.c_int)
ERROR_NULL, ERROR_EXECUTOR = -3, -4


class Executor(ctypes.Structure):
    """NAME_executor."""

    _fields_ = (("context", ctypes.c_void_p), ("threads", ctypes.c_int), ("run", RUN))


class Compiled:
    """A network with its library, and its results in serial execution."""

    def __init__(self, built: BuiltNetwork, model: Model, folder: Path) -> None:
        self.built, self.model, self.library = built, model, link(built, folder)
        self.library.net_threads_create.restype = ctypes.c_void_p
        self.library.net_threads_destroy.argtypes = [ctypes.c_void_p]
        random = np.random.default_rng(1)
        self.inputs = [random.standard_normal(info.shape).astype(info.dtype) for info in model.inputs]
        self.expected = call(self.library.net_run, built, model, self.inputs)

    def check(self, executor: Any) -> None:
        """Fail unless the results on `executor` are the serial ones, bit by bit."""
        results = call(self.library.net_run_parallel, self.built, self.model, self.inputs, executor)
        for result, expected in zip(results, self.expected, strict=True):
            np.testing.assert_array_equal(result, expected)


def _compile(
    network: Network, folder: Path, monkeypatch: pytest.MonkeyPatch, threads: int = 3, emit: str = "lib"
) -> Compiled:
    return Compiled(*build_shared(network(), folder, threads, monkeypatch, emit), folder)


def _executor(threads: int, order: Callable[[int], list[int]]) -> tuple[Executor, list[int]]:
    """An executor that runs tasks on this thread in `order(count)`, and the counts it was called with."""
    counts: list[int] = []

    def run(context: int, task: Any, argument: int, count: int) -> None:
        counts.append(count)
        for index in order(count):
            task(argument, index)

    return Executor(None, threads, RUN(run)), counts


@pytest.mark.parametrize("emit", ["lib", "c"])
@pytest.mark.parametrize("network", NETWORKS)
def test_any_number_of_threads_computes_the_same(
    network: Network, emit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = _compile(network, tmp_path, monkeypatch, emit=emit)
    for threads in (1, 2, 3):
        executor = compiled.library.net_threads_create(threads)
        for _ in range(20):
            compiled.check(ctypes.c_void_p(executor))
        compiled.library.net_threads_destroy(executor)


@pytest.mark.parametrize(
    "order", [lambda n: list(range(n)), lambda n: list(range(n))[::-1], lambda n: [1, *range(2, n), 0]]
)
def test_a_callers_executor_may_choose_the_order(
    order: Callable[[int], list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = _compile(wide_chain, tmp_path, monkeypatch)
    executor, counts = _executor(3, order)
    compiled.check(ctypes.byref(executor))
    assert set(counts) <= {2, 3}
    assert 3 in counts


def test_more_threads_than_compiled_for_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = _compile(wide_chain, tmp_path, monkeypatch, threads=2)
    executor, counts = _executor(64, lambda n: list(range(n)))
    compiled.check(ctypes.byref(executor))
    assert set(counts) == {2}


def test_a_single_thread_is_never_handed_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = _compile(wide_chain, tmp_path, monkeypatch)
    executor, counts = _executor(1, lambda n: list(range(n)))
    compiled.check(ctypes.byref(executor))
    assert counts == []


def test_an_executor_that_does_not_do_its_work_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = _compile(wide_chain, tmp_path, monkeypatch)
    run = compiled.library.net_run_parallel
    lazy, _ = _executor(2, lambda n: list(range(n - 1)))
    empty, _ = _executor(0, lambda n: list(range(n)))
    for executor, code in ((lazy, ERROR_EXECUTOR), (empty, ERROR_EXECUTOR), (None, ERROR_NULL)):
        argument = None if executor is None else ctypes.byref(executor)
        with pytest.raises(AssertionError, match=f"the network returned {code}"):
            call(run, compiled.built, compiled.model, compiled.inputs, argument)


def test_the_pool_has_no_threads_beyond_the_compiled_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = _compile(wide_chain, tmp_path, monkeypatch).library
    assert [library.net_threads_create(n) for n in (-1, 0, 4)] == [None, None, None]
    library.net_threads_destroy(None)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 100])
def test_the_pool_does_every_task_once(count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = _compile(wide_chain, tmp_path, monkeypatch).library
    pool = library.net_threads_create(2)
    executor = ctypes.cast(pool, ctypes.POINTER(Executor)).contents
    done: list[int] = []
    task = TASK(lambda argument, index: done.append(index))
    for _ in range(50):
        done.clear()
        executor.run(executor.context, task, None, count)
        assert sorted(done) == list(range(count))
    library.net_threads_destroy(pool)


@pytest.mark.parametrize("network", [small_cnn, wide_chain])
def test_threads_do_not_race(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, model = build_shared(network(), tmp_path, 3, monkeypatch, "c")
    sources = [str(path) for path in program_files(built, model, tmp_path)]
    program = str(tmp_path / "program")
    flags = ["-std=c11", "-O1", "-g", "-fsanitize=thread", "-march=native", "-D_DEFAULT_SOURCE"]
    built_program = subprocess.run(
        ["gcc", *flags, *sources, "-o", program, "-lm", "-pthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot find" in built_program.stderr and "tsan" in built_program.stderr:
        pytest.skip("gcc's thread sanitizer not found (apt install libtsan2)")
    assert built_program.returncode == 0, built_program.stderr
    done = subprocess.run([program], capture_output=True, text=True, timeout=300, check=False)
    assert "WARNING: ThreadSanitizer" not in done.stderr, done.stderr
    assert (done.returncode, done.stdout) == (0, "same\n"), done.stderr


def test_small_steps_stay_on_the_calling_thread() -> None:
    step = Step("k", ("layer",), ("x",), ("y",))
    small, large = Interface(100, tasks=8, work=1000), Interface(100, tasks=8, work=1_000_000)
    assert call_step(step, small, 4).parts == 1
    assert call_step(step, large, 1).parts == 1
    assert call_step(step, large, 4).parts == 4
    assert call_step(step, large, 64).parts == 8  # no more than there are tasks


def test_every_part_has_a_workspace_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, _ = build_shared(wide_chain(), tmp_path, 3, monkeypatch)
    shared = [step for step in built.program.steps if step.parts > 1]
    assert shared
    doubled = Step("k", ("layer",), shared[0].reads, shared[0].writes, workspace=128, tasks=9, parts=3)
    steps = tuple(doubled if step is shared[0] else step for step in built.program.steps)
    program = type(built.program)(**{**vars(built.program), "steps": steps})
    storage = assign_storage(program, 64)
    index = steps.index(doubled)
    assert f"workspace of step {index}" in storage.plan.offsets
    assert storage.plan.lower_bound >= 3 * 128
    source = generate_entry("net", storage, 64, threads=3).source
    assert "part(c, 9, index), part(c, 9, index + 1), " in source
    assert "+ (size_t)index * 128);" in source


def test_generated_files_are_clean_c_and_cpp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program_files(*build_shared(wide_chain(), tmp_path, 2, monkeypatch, "c"), tmp_path)
    (tmp_path / "use.cpp").write_text(
        '#include "net_threads.h"\nint main() { net_threads_destroy(net_threads_create(NET_MAX_THREADS)); }\n'
    )
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-c", "-o", "/dev/null"]
    for compiler, file in (
        (["gcc", "-std=c99"], "net.c"),
        (["gcc", "-std=c99", "-DEDGECOMPILE_TRACE"], "net.c"),
        (["gcc", "-std=c11"], "net_threads.c"),
        (["g++", "-std=c++11"], "use.cpp"),
    ):
        command = [*compiler, *warnings, str(tmp_path / file)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_header_says_what_an_executor_has_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built, _ = build_shared(wide_chain(), tmp_path, 2, monkeypatch)
    assert "#define NET_MAX_THREADS 2" in built.entry.header
    assert "once for each index from 0 to count - 1" in built.entry.header
