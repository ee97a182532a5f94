"""`edgecompile tune`: the kernels of a network are measured on a device, and the fastest are remembered."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecompile.backends.pipeline import optimize
from edgecompile.core.device import Device, Metric
from edgecompile.core.model import Model
from edgecompile.core.pipeline import Pipeline
from edgecompile.core.target import Target
from edgecompile.devices.open import open_device
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.frontend.load import import_through
from edgecompile.frontend.options import ImportOptions
from edgecompile.passes.canonicalize import canonicalize_passes
from edgecompile.tuning.curves import improvements
from edgecompile.tuning.estimate import Estimate, estimate_tasks
from edgecompile.tuning.extract import KernelTask, find_tasks
from edgecompile.tuning.fleet import Fleet, portable
from edgecompile.tuning.fleet_access import Access
from edgecompile.tuning.journal import Journal
from edgecompile.tuning.network import NetworkBench
from edgecompile.tuning.pool import Pool
from edgecompile.tuning.prior import learn_prior
from edgecompile.tuning.record import not_read
from edgecompile.tuning.rerank import Reranked, rerank
from edgecompile.tuning.session import Budget, Progress, Session
from edgecompile.tuning.shipped import open_records
from edgecompile.tuning.versions import tool_versions

Array = np.ndarray[Any, Any]

JOURNAL = "session.jsonl"
# Of a limited time the search may take this share; the rest is for comparing in the network.
_SEARCH_SHARE = 0.8


@dataclass(frozen=True)
class TuneOptions:
    """What `tune` may be told.

    `devices` name where candidates run, side by side (none: what the target names); with a `fleet` they run
    on its workers' devices for the target, and are built by its workers. `records` is the folder
    of this session's records; those that are there already are made use of. In the end the best candidates
    are compared inside the network, unless `rerank` is false, or there are several threads.
    """

    target: Target
    records: Path
    devices: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    threads: int = 1
    seed: int = 0
    input_shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    trust_pickle: bool = False
    rerank: bool = True
    fleet: Access | None = None


@dataclass(frozen=True)
class Tuned:
    """The tasks by name, and where the session ended.

    `curves` has one entry a task: (trial, speed-up over the default) wherever a trial was the best so far.
    `reranked` are the kernels whose best candidates were compared inside the network, `comparing` the one
    whose candidates are, "" as long as the search goes on and in the end.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    metric: Metric
    device: str
    progress: Progress
    curves: tuple[tuple[tuple[int, float], ...], ...]
    reranked: tuple[Reranked, ...] = ()
    comparing: str = ""


def list_tasks(source: str, options: TuneOptions) -> list[KernelTask]:
    """The tasks of `source`. Raises UnsupportedError (EC4501: there is no choice; EC4640)."""
    return _tasks_of(optimized_network(source, options), source, options)


def optimized_network(source: str, options: TuneOptions) -> Model:
    """`source` as it is partitioned into kernels. Raises what importing raises."""
    imported = ImportOptions(options.input_shapes, options.constants, options.trust_pickle)
    model, _ = import_through(source, imported, Pipeline(canonicalize_passes()))
    return optimize(model, options.target)[0]


def _tasks_of(model: Model, source: str, options: TuneOptions) -> list[KernelTask]:
    if options.target.backend == "cuda" and options.threads > 1:
        what, why = f"kernels for {options.target.name} do not use threads", "the GPU computes all of them"
        raise UnsupportedError(Problem("EC4640", what, "--threads", why, "leave --threads out"))
    tasks = find_tasks(model, options.target, options.target.codegen.route, options.threads)
    if not tasks:
        why = "its kernels are fixed on this target, or too small to have a choice"
        raise UnsupportedError(Problem("EC4501", "there is nothing to tune", source, why))
    return tasks


def tune(source: str, options: TuneOptions, notify: Callable[[Tuned], None] = lambda tuned: None) -> Tuned:
    """Tune `source` and return what was reached; `notify` is told after every batch.

    Raises DeviceError, StoppedError (EC8001, EC8002), InputError (EC3502, EC3503), what importing raises, and
    KeyboardInterrupt with a text that says how to go on.
    """
    model = optimized_network(source, options)
    tasks = _tasks_of(model, source, options)
    names = tuple(str(task.task.workload.description["name"]) for task in tasks)
    sizes = tuple(len(task.task.candidates) for task in tasks)
    reranked: list[Reranked] = []
    runs_on = options.target if options.fleet is None else portable(options.target)
    with NetworkBench(model, runs_on) as network, open_session(tasks, options, model=model) as session:
        ends = time.monotonic() + options.budget.seconds

        place, seconds = 0, 0.0

        def tuned(comparing: str = "") -> Tuned:
            curves = tuple(tuple(improvements(search.speed_ups)) for search in session.searches)
            pool, progress = session.pool, session.progress(place, seconds)
            return Tuned(
                names, sizes, pool.metric, pool.described, progress, curves, tuple(reranked), comparing
            )

        def searched(progress: Progress) -> None:
            nonlocal place, seconds
            place, seconds = progress.task, progress.seconds
            notify(tuned())

        def comparing(name: str) -> None:
            notify(tuned(name))

        try:
            compares = options.rerank and options.threads == 1 and session.pool.metric == "seconds"
            share = _SEARCH_SHARE if compares else 1.0
            session.run(replace(options.budget, seconds=options.budget.seconds * share), searched)
            if compares:
                reranked += rerank(session, network, comparing, lambda: time.monotonic() > ends)
        except KeyboardInterrupt:
            advice = "give the same command again to go on from there"
            raise KeyboardInterrupt(f"what was measured is in {options.records}; {advice}") from None
        return tuned()


def estimate(source: str, options: TuneOptions) -> list[Estimate]:
    """What tuning `source` is going to take and to bring, by the records. Raises as `list_tasks`."""
    tasks = [task.task for task in list_tasks(source, options)]
    target = options.target.name
    metric = open_devices(options)[0].metric
    own = [options.records] if options.records.exists() else []
    database = open_records(options.target, *own)
    prior = learn_prior(database, target, metric, tasks[0].features.shape[1])
    return estimate_tasks(tasks, database, prior, target, metric)


def open_devices(options: TuneOptions) -> list[Device]:
    """Where candidates run: by default as the target says, but on no simulated GPU, which has no speed."""
    usual = "cuda" if options.target.backend == "cuda" else None
    return [open_device(spec, options.target) for spec in options.devices or (usual,)]


@contextmanager
def open_session(
    tasks: Sequence[KernelTask],
    options: TuneOptions,
    journal: str = JOURNAL,
    goal: int | None = None,
    model: Model | None = None,
) -> Iterator[Session]:
    """What is known of `tasks` from earlier sessions and the shipped records, ready to go on.

    New records go to the file `journal` in the folder of records. With a `goal`, every task gets so many
    trials. A fleet needs the `model` that the tasks are those of. Raises as `tune`.
    """
    with _open_pool(tasks, options, model) as pool, Journal(options.records / journal) as writer:
        database = open_records(options.target, options.records)
        for damage in dict.fromkeys([*writer.damages, *database.damages]):
            warnings.warn(not_read(damage), stacklevel=3)
        yield Session(tasks, pool, database, writer, tool_versions(), options.seed, goal)


@contextmanager
def _open_pool(tasks: Sequence[KernelTask], options: TuneOptions, model: Model | None) -> Iterator[Pool]:
    """The devices and builders of this machine, or of a fleet."""
    if options.fleet is None or model is None:
        with Pool(tasks, options.target, open_devices(options)) as pool:
            yield pool
    else:
        with (
            Fleet(options.fleet, options.target) as fleet,
            Pool(tasks, options.target, fleet.devices, fleet.builders(model, tasks, options.threads)) as pool,
        ):
            yield pool
