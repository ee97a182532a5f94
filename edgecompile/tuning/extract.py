"""The tasks of a network: its kernels with a design space, each workload once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgecompile.core.model import Model, tensor_info
from edgecompile.core.target import Isa, Target
from edgecompile.core.tensor import TensorInfo
from edgecompile.kernels.schedules.default import schedule_default
from edgecompile.kernels.schedules.parallel import share_out
from edgecompile.kernels.schedules.space import Plan, Space, knobs
from edgecompile.lower.codegen import resolve_native
from edgecompile.lower.fusion import Group, fuse
from edgecompile.lower.kernel import Kernel, build_kernel
from edgecompile.lower.lower import prepare
from edgecompile.lower.registry import Kind
from edgecompile.lower.workload import describe_group
from edgecompile.tuning.program import Candidate
from edgecompile.tuning.record import Workload
from edgecompile.tuning.task import Task

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class KernelTask:
    """A task, and what its candidates are built from: `plans[i]` is what `task.candidates[i]` stands for."""

    task: Task
    group: Group
    isa: Isa
    plans: Sequence[Plan]

    def build(self, index: int) -> Candidate:
        """The scheduled function of one candidate."""
        kernel = build_kernel(self.group, self.isa, _Fixed(self.plans[index]))
        function = share_out(schedule_default(kernel.function, self.isa), self.isa.threads)
        return Candidate(self.task.candidates[index], function, kernel, _values(self.group, kernel))


def find_tasks(model: Model, target: Target, emit: str = "lib", threads: int = 1) -> list[KernelTask]:
    """The tasks of an optimized network, each workload once; its weight is how often it occurs."""
    isa = replace(resolve_native(target.isa), intrinsics=emit == "lib", threads=threads)
    found: dict[str, KernelTask] = {}
    for group in fuse(prepare(model).graph.graph, isa):
        if group.kind is Kind.ALIAS:
            continue
        spaces = _Collected()
        build_kernel(group, isa, spaces)
        if not spaces.found:
            continue
        workload = Workload(describe_group(group, isa))
        known = found.get(workload.key)
        if known is not None:
            again = replace(known.task, weight=known.task.weight + 1)
            found[workload.key] = replace(known, task=again)
        else:
            found[workload.key] = _task_of(workload, group, isa, spaces.found[0])
    return list(found.values())


def _task_of(workload: Workload, group: Group, isa: Isa, space: Space) -> KernelTask:
    plans = space.plans()
    features = np.array([space.features(plan) for plan in plans], np.float32)
    return KernelTask(Task(workload, [knobs(plan) for plan in plans], features), group, isa, plans)


@dataclass
class _Collected:
    """Chooses as usual, and keeps the spaces that it was asked about."""

    found: list[Space] = field(default_factory=list)

    def choose(self, space: Space) -> Plan:
        self.found.append(space)
        return space.usual


@dataclass(frozen=True)
class _Fixed:
    """Chooses one plan."""

    plan: Plan

    def choose(self, space: Space) -> Plan:
        return self.plan


def _values(group: Group, kernel: Kernel) -> dict[str, TensorInfo]:
    """Type and shape of what the kernel reads and writes, by name."""
    values = [v for node in group.nodes for v in (*node.inputs, *node.outputs) if v is not None and v.name]
    infos = {str(value.name): tensor_info(value) for value in values}
    return {name: infos[name] for name in (*kernel.reads, *kernel.writes) if name in infos}
