"""`edgecompile tune`: the kernels of a network are measured on a device, and the fastest are remembered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile import __version__
from edgecompile.backends.pipeline import optimize
from edgecompile.core.data import data_folder
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import Target
from edgecompile.devices.open import open_device
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.tuning.database import Database
from edgecompile.tuning.extract import KernelTask, find_tasks
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.measure import Bench
from edgecompile.tuning.record import Metric
from edgecompile.tuning.selection import SHIPPED
from edgecompile.tuning.session import Budget, Notify, Progress, Session

Array = np.ndarray[Any, Any]

# The names of things that decide what code is generated for a candidate.
_TOOLS = ("apache-tvm", "apache-tvm-ffi")
JOURNAL = "session.jsonl"


@dataclass(frozen=True)
class TuneOptions:
    """What `tune` may be told.

    `device` names where candidates run (None: what the target names). `records` is the folder of this
    session's records; those that are there already are made use of.
    """

    target: Target
    records: Path
    device: str | None = None
    budget: Budget = field(default_factory=Budget)
    threads: int = 1
    seed: int = 0
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    trust_pickle: bool = False


@dataclass(frozen=True)
class Tuned:
    """The tasks by name, and where the session ended."""

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    metric: Metric
    device: str
    progress: Progress


def list_tasks(source: str, options: TuneOptions) -> list[KernelTask]:
    """The tasks of `source`. Raises UnsupportedError (EC4501) when no kernel has a choice of plans."""
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    model, _ = import_through(source, imported, Pipeline(canonicalize_passes()))
    model, _ = optimize(model, options.target)
    tasks = find_tasks(model, options.target, options.target.codegen.route, options.threads)
    if not tasks:
        why = "its kernels are fixed on this target, or too small to have a choice"
        raise UnsupportedError(Problem("EC4501", "there is nothing to tune", source, why))
    return tasks


def tune(source: str, options: TuneOptions, notify: Callable[[Tuned], None] = lambda tuned: None) -> Tuned:
    """Tune `source` and return what was reached; `notify` is told after every batch.

    Raises DeviceError, StoppedError (EC8001), InputError (EC3502, EC3503) and what importing raises.
    """
    tasks = list_tasks(source, options)
    device = open_device(options.device, options.target)
    metric: Metric = "instructions" if device.level == "executed-in-emulator" else "seconds"
    with device as opened:
        described = f"{device.name}: {opened.health()}"
    bench = Bench(options.target, device, metric)
    versions = {"edgecompile": __version__} | {tool: version(tool) for tool in _TOOLS}
    shipped = data_folder(SHIPPED) / options.target.name
    with Journal(options.records / JOURNAL) as journal:
        database = Database.open(options.records, *([shipped] if shipped.is_dir() else []))
        session = Session(tasks, bench, database, journal, described, versions, options.seed)

        def tuned(progress: Progress) -> Tuned:
            names = tuple(str(task.task.workload.description["name"]) for task in tasks)
            sizes = tuple(len(task.task.candidates) for task in tasks)
            return Tuned(names, sizes, metric, described, progress)

        told: Notify = lambda progress: notify(tuned(progress))  # noqa: E731
        session.run(options.budget, told)
        return tuned(session.progress(0, 0.0))
