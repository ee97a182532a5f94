"""The tasks of a network: its kernels with a design space, each workload once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from edgecompile.backends.cuda.files import describe_gpu
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.target import Isa, Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.kernels.schedules.space import Plan, Space, knobs
from edgecompile.lower.build_gpu import gpu_isa
from edgecompile.lower.codegen import resolve_native
from edgecompile.lower.fusion import Group, fuse
from edgecompile.lower.kernel import Kernel, build_kernel, schedule_kernel
from edgecompile.lower.lower import prepare
from edgecompile.lower.registry import Kind
from edgecompile.lower.workload import describe_group
from edgecompile.tuning.program import Candidate
from edgecompile.tuning.record import Json, Workload
from edgecompile.tuning.task import Task

Array = np.ndarray[Any, Any]


# The answers to the first questions about how to build a kernel; all others are answered as usual.
Answers: TypeAlias = tuple[Plan, ...]


@dataclass(frozen=True)
class KernelTask:
    """A task, and what its candidates are built from: `plans[i]` is what `task.candidates[i]` stands for."""

    task: Task
    group: Group
    isa: Isa
    plans: Sequence[Answers]

    def build(self, index: int) -> Candidate:
        """The scheduled function of one candidate."""
        kernel = build_kernel(self.group, self.isa, _Answering(self.plans[index]))
        function = schedule_kernel(kernel.function, self.isa)
        return Candidate(self.task.candidates[index], function, kernel, _values(self.group, kernel))


def find_tasks(model: Model, target: Target, emit: str = "lib", threads: int = 1) -> list[KernelTask]:
    """The tasks of an optimized network, each workload once; its weight is how often it occurs."""
    if target.backend == "cuda":
        isa = gpu_isa(describe_gpu(target))
    else:
        isa = replace(resolve_native(target.isa), intrinsics=emit == "lib", threads=threads)
    found: dict[str, KernelTask] = {}
    for group in fuse(prepare(model).graph.graph, isa):
        if group.kind is Kind.ALIAS:
            continue
        workload = Workload(describe_group(group, isa))
        known = found.get(workload.key)
        if known is not None:
            again = replace(known.task, weight=known.task.weight + 1)
            found[workload.key] = replace(known, task=again)
            continue
        task = _task_of(workload, group, isa)
        if task is not None:
            found[workload.key] = task
    return list(found.values())


def _task_of(workload: Workload, group: Group, isa: Isa) -> KernelTask | None:
    """The task of one kernel; None where it has no choice."""
    found = list(_candidates(group, isa))
    if len(found) < 2:
        return None
    features = np.array([space.features(answers[-1]) for answers, _, space in found], np.float32)
    # The last one is the analytic cost. By itself it says how large the kernel is; what a model learns is the
    # gain over the usual candidate.
    features = np.hstack([features, features[:, -1:] - features[0, -1:]])
    names = [candidate for _, candidate, _ in found]
    return KernelTask(Task(workload, names, features), group, isa, [answers for answers, _, _ in found])


def _candidates(group: Group, isa: Isa) -> Iterator[tuple[Answers, Json, Space]]:
    """Answers, knobs and space of the usual candidate, then of all that differ from it in one answer."""
    asking = _Answering()
    build_kernel(group, isa, asking)
    usual = tuple(space.usual for space in asking.spaces)
    for place, space in enumerate(asking.spaces):
        for plan in space.plans():
            if plan != space.usual or place == 0:
                yield (*usual[:place], plan), knobs(plan), space


@dataclass
class _Answering:
    """Gives the answers `first`, then the usual ones; keeps the spaces that it was asked about."""

    first: Answers = ()
    spaces: list[Space] = field(default_factory=list)

    def choose(self, space: Space) -> Plan:
        place = len(self.spaces)
        self.spaces.append(space)
        return self.first[place] if place < len(self.first) else space.usual


def _values(group: Group, kernel: Kernel) -> dict[str, TensorInfo]:
    """Type and shape of what the kernel reads and writes, by name."""
    values = [v for node in group.nodes for v in (*node.inputs, *node.outputs) if v is not None and v.name]
    infos = {str(value.name): tensor_info(value) for value in values}
    return {name: infos[name] for name in (*kernel.reads, *kernel.writes) if name in infos}
