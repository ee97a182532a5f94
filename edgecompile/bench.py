"""How fast an artifact is on a device: time on real hardware, exact instruction counts under an emulator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgecompile.core.artifact import Artifact
from edgecompile.core.device import RunResult
from edgecompile.errors import Problem, UsageError
from edgecompile.execute import CompiledNetwork, load_golden

# Runs before the first one that counts: caches, page tables and clock frequency settle.
WARM_UP_RUNS = 3


@dataclass(frozen=True)
class StepCost:
    """One kernel call and the network `layers` in it; what the device cannot measure is None."""

    symbol: str
    layers: tuple[str, ...]
    microseconds: float | None
    instructions: int | None


@dataclass(frozen=True)
class BenchReport:
    """Cost of one inference on the first golden sample, on `threads` threads.

    Times are microseconds over `runs` runs and None under an emulator, whose time means nothing;
    `instructions` is exact, `cycles` the median; they are None where nothing counts them. `steps` only when
    asked for.
    """

    device: str
    runs: int
    p50_us: float | None
    p99_us: float | None
    instructions: int | None
    steps: tuple[StepCost, ...]
    notes: tuple[str, ...]
    threads: int = 1
    cycles: int | None = None


def bench_artifact(
    artifact: Artifact,
    device: str | None = None,
    runs: int = 100,
    per_layer: bool = False,
    threads: int = 1,
) -> BenchReport:
    """Measure `artifact` on `device`.

    Raises DeviceError, MissingToolError or UsageError (EC2031, EC2032; EC2034: the device has no speed).
    """
    sample = [array[:1] for array in load_golden(artifact)[0]]
    network = CompiledNetwork(artifact, device, threads=threads)
    if network.device.level == "simulated":
        what, why = f"{artifact.manifest.name} cannot be measured", f"{network.device.name} has no speed"
        fix = "use the real device: --device cuda, or ssh://board"
        raise UsageError(Problem("EC2034", what, "--device", why, fix))
    emulated = network.device.level == "executed-in-emulator"
    if emulated and threads > 1:
        what, why = "no figures of several threads", "an emulator counts the instructions of one"
        raise UsageError(Problem("EC2032", what, "--threads", why, "use one thread, or a real device"))
    # Instruction counts do not vary from run to run.
    repeats = 1 if emulated else runs + WARM_UP_RUNS
    result = network.run(sample, repeats, count_instructions=emulated)
    times = () if emulated else result.nanoseconds[WARM_UP_RUNS:]
    p50, p99 = (float(np.percentile(times, q)) / 1000 if times else None for q in (50, 99))
    steps: tuple[StepCost, ...] = ()
    if per_layer:
        traced = CompiledNetwork(artifact, device, trace=True, threads=threads)
        steps = _step_costs(artifact, traced.run(sample, repeats, count_instructions=emulated), emulated)
    kind = network.device
    done = 1 if emulated else runs
    counted = result.cycles[WARM_UP_RUNS:]
    cycles = round(float(np.median(counted))) if counted else None
    return BenchReport(kind.name, done, p50, p99, result.instructions, steps, result.notes, threads, cycles)


def _step_costs(artifact: Artifact, result: RunResult, emulated: bool) -> tuple[StepCost, ...]:
    steps = artifact.manifest.steps
    times = [] if emulated else [nanoseconds / 1000 for nanoseconds in result.step_nanoseconds]
    counts = result.step_instructions
    return tuple(
        StepCost(
            step.symbol,
            step.layers,
            times[index] if index < len(times) else None,
            counts[index] if index < len(counts) else None,
        )
        for index, step in enumerate(steps)
    )
