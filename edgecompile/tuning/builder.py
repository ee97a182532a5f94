"""Programs of candidates, built beside the measurements.

Generating code is most of the work of tuning. It happens in a copy of this process: while a device measures
one batch the next one is built, and LLVM may crash there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from edgecompile.core.device import Device
from edgecompile.core.fork import Forked, WorkFailedError
from edgecompile.core.target import Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import BudgetError, InternalError, UnsupportedError
from edgecompile.tuning.extract import KernelTask
from edgecompile.tuning.gpu_program import link_gpu_trials
from edgecompile.tuning.program import compile_candidates, link_trials

# Seconds for a whole batch; one that takes longer is built candidate by candidate.
_TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Trials:
    """A program that measures candidates of one task, the default first; `chosen` are their places there."""

    executable: Path
    chosen: tuple[int, ...]
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class Builder:
    """Builds programs for `tasks`, and `device` or others like it. To be entered and left.

    Several threads need one each.
    """

    def __init__(self, tasks: Sequence[KernelTask], target: Target, device: Device | None = None) -> None:
        self._forked = Forked(partial(_build, tasks, target, device))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forked.__exit__(kind, error, trace)

    def build(self, task: int, chosen: Sequence[int], folder: Path) -> list[Trials]:
        """Programs in `folder` that together measure the candidates `chosen` of a task.

        One program as a rule; one for each candidate when they cannot be built together. Those that cannot be
        built at all are in none. Raises MissingToolError.
        """
        wanted = [index for index in chosen if index]
        together = self._try(task, wanted, folder / "all")
        if together is not None or len(wanted) < 2:
            return [together] if together else []
        alone = [self._try(task, [index], folder / str(index)) for index in wanted]
        return [program for program in alone if program is not None]

    def _try(self, task: int, wanted: Sequence[int], folder: Path) -> Trials | None:
        folder.mkdir(parents=True)
        with contextlib.suppress(WorkFailedError, BudgetError, InternalError, UnsupportedError):
            return self._forked.call(task, (0, *wanted), folder, timeout_s=_TIMEOUT_S)
        return None


def _build(
    tasks: Sequence[KernelTask],
    target: Target,
    device: Device | None,
    task: int,
    chosen: Sequence[int],
    folder: Path,
) -> Trials:
    candidates = [tasks[task].build(index) for index in chosen]
    if target.backend == "cuda":
        executable = link_gpu_trials(candidates, target, device, folder)
    else:
        compiled = compile_candidates(candidates, tasks[task].isa, folder)
        executable = link_trials(compiled, target, device.platform if device else None, folder)
    return Trials(executable, tuple(chosen), candidates[0].inputs, candidates[0].outputs)
