"""Programs of candidates: what cannot be built fails alone, however it fails."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgecompile.core.target import find_target
from edgecompile.errors import MissingToolError, Problem
from edgecompile.tuning.builder import Builder
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.program import Candidate
from edgecompile.tuning.tune import TuneOptions, list_tasks
from tests.support.networks import save, small_cnn

HOST = find_target("host")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> KernelTask:
    path = save(small_cnn(), tmp_path_factory.mktemp("builder") / "cnn.onnx")
    return max(list_tasks(str(path), TuneOptions(HOST, Path())), key=lambda one: len(one.task.candidates))


@dataclass(frozen=True)
class Spoilt(KernelTask):
    """A task of which candidate 2 cannot be built."""

    how: str = ""

    def build(self, index: int) -> Candidate:
        if index == 2:
            if self.how == "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            if self.how == "missing":
                raise MissingToolError(Problem("EC5010", "no C compiler and linker for host"))
            raise ValueError("no such plan")
        return super().build(index)


def spoilt(task: KernelTask, how: str) -> Spoilt:
    return Spoilt(**vars(task), how=how)


def test_a_batch_is_one_program_with_the_built_in_candidate_first(task: KernelTask, tmp_path: Path) -> None:
    with Builder([task], HOST) as builder:
        (program,) = builder.build(0, [3, 1], tmp_path)
        assert program.chosen == (0, 3, 1)
        assert program.executable.is_file()
        assert program.inputs[0].shape
        (alone,) = builder.build(0, [0], tmp_path / "new")
        assert alone.chosen == (0,)


@pytest.mark.parametrize("how", ["crash", "raise"])
def test_who_cannot_be_built_fails_alone(task: KernelTask, how: str, tmp_path: Path) -> None:
    with Builder([spoilt(task, how)], HOST) as builder:
        assert [one.chosen for one in builder.build(0, [1, 2, 3], tmp_path)] == [(0, 1), (0, 3)]
        assert builder.build(0, [2], tmp_path / "new") == []


def test_a_missing_compiler_is_not_the_candidates_fault(task: KernelTask, tmp_path: Path) -> None:
    with Builder([spoilt(task, "missing")], HOST) as builder, pytest.raises(MissingToolError, match="EC5010"):
        builder.build(0, [1, 2], tmp_path)
